//! Reading a file piece by piece, one piece ahead of who takes them.
//!
//! What the kernel has in memory is read at once, without a hop to a thread that may block; what the disk has is read on
//! such a thread. The buffers of one reader go round: memory that was just sent is read into again while the processor
//! still holds it near, and nothing is zeroed or mapped twice.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};

use super::super::Io;
use super::{blocking, lock};
use crate::limits;

/// Reads a range of a file, which has it.
pub(super) fn pieces(
    file: File,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (file, buffers) = (Arc::new(file), Arc::new(Buffers::default()));
    let starts = (range.start..range.end).step_by(limits::READ_BYTES as usize);
    futures_util::stream::iter(starts)
        .map(move |start| {
            let length = limits::READ_BYTES.min(range.end - start) as usize;
            read(&file, Buffers::take(&buffers, length), start)
        })
        .buffered(2)
}

/// Reads one piece of a file, which has it; this blocks.
pub(super) fn piece(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let mut piece = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut piece, range.start)?;
    Ok(piece.into())
}

fn read(file: &Arc<File>, mut buffer: Lent, start: u64) -> Io<'static, Bytes> {
    let have = in_memory(file, buffer.as_mut(), start);
    if have == buffer.length {
        return std::future::ready(Ok(Bytes::from_owner(buffer))).boxed();
    }
    let file = Arc::clone(file);
    blocking(move || {
        file.read_exact_at(&mut buffer.as_mut()[have..], start + have as u64)?;
        Ok(Bytes::from_owner(buffer))
    })
}

/// Reads what can be read without waiting; how much that was. What stands in the way of more shows when it is waited for.
#[cfg(target_os = "linux")]
fn in_memory(file: &File, buffer: &mut [u8], start: u64) -> usize {
    use rustix::io::ReadWriteFlags;
    let mut have = 0;
    while have < buffer.len() {
        let rest = &mut [io::IoSliceMut::new(&mut buffer[have..])];
        match rustix::io::preadv2(file, rest, start + have as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(_) => break,
            Ok(read) => have += read,
        }
    }
    have
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_file: &File, _buffer: &mut [u8], _start: u64) -> usize {
    0
}

/// The buffers of one reader that nobody is using.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn take(this: &Arc<Buffers>, length: usize) -> Lent {
        let spare = lock(&this.0).pop().filter(|buffer| buffer.len() >= length);
        Lent { buffer: spare.unwrap_or_else(|| vec![0; length]), length, home: Arc::clone(this) }
    }
}

/// A buffer that goes back when the bytes in it were sent.
struct Lent {
    buffer: Vec<u8>,
    /// How much of it holds bytes.
    length: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        lock(&self.home.0).push(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[tokio::test]
    async fn pieces_are_the_range_whatever_its_ends() {
        let step = limits::READ_BYTES;
        let bytes: Vec<u8> = (0..step * 3 + 7).map(|n| (n % 251) as u8).collect();
        for range in [0..step * 3 + 7, 0..step, 1..step * 2 + 1, step * 3 - 1..step * 3 + 1, 5..5] {
            let read: Vec<Bytes> = pieces(file(&bytes), range.clone()).try_collect().await.unwrap();
            assert!(read.concat() == bytes[range.start as usize..range.end as usize], "{range:?}");
            assert!(read.iter().all(|piece| piece.len() as u64 <= step));
        }
    }

    #[tokio::test]
    async fn buffers_go_round() {
        let bytes = vec![1; limits::READ_BYTES as usize * 20];
        let mut reading = Box::pin(pieces(file(&bytes), 0..bytes.len() as u64));
        let mut places = std::collections::BTreeSet::new();
        while let Some(piece) = reading.try_next().await.unwrap() {
            places.insert(piece.as_ptr() as usize);
        }
        assert!(places.len() <= 3, "{places:?}");
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error() {
        let read: Result<Vec<Bytes>, _> =
            pieces(file(&[1; 100]), 0..limits::READ_BYTES * 2).try_collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
