//! A disk in memory that keeps only what was synced.
//!
//! Writes land in a cache, where reads see them, and reach the platter with the next sync. When the power fails, each
//! sector of the cache may have been written back or not, independently of the others and of the order of the writes;
//! a sector that was written several times may hold any of its versions, later ones only after earlier ones. A write
//! of several sectors can so be torn, a sector cannot. The length of the file is kept or lost likewise.
//!
//! A sync that fails has written back what it likes and forgets the rest, as Linux does: a later sync that succeeds
//! says nothing about it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::Chance;

/// What is written as a whole or not at all.
const SECTOR: usize = 512;

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Faulty(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct Disk {
    chance: Chance,
    /// What reads see.
    live: Vec<u8>,
    /// What is there without power.
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// Bytes that fit.
    capacity: u64,
    /// Syncs that succeed before one fails.
    syncs_left: Option<u64>,
    /// Writes, resizes and syncs before the power fails.
    steps_left: Option<u64>,
    off: bool,
    syncs: u64,
}

#[derive(Debug)]
enum Pending {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

impl Faulty {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Faulty {
        Faulty::from_image(seed, Vec::new())
    }

    /// A disk with something on it, such as what [`Faulty::crash`] left.
    #[must_use]
    pub fn from_image(seed: u64, image: Vec<u8>) -> Faulty {
        Faulty(Arc::new(Mutex::new(Disk {
            chance: Chance::new(seed),
            live: image.clone(),
            durable: image,
            pending: Vec::new(),
            capacity: u64::MAX,
            syncs_left: None,
            steps_left: None,
            off: false,
            syncs: 0,
        })))
    }

    /// Lets so many syncs succeed and the next one fail; those after that succeed again.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.disk().syncs_left = Some(syncs);
    }

    /// Refuses what does not fit into so many bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk().capacity = bytes;
    }

    /// Lets the power fail after so many writes, resizes and syncs. Everything fails from then on.
    pub fn power_off_after(&self, steps: u64) {
        self.disk().steps_left = Some(steps);
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disk().off
    }

    /// How many syncs have succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// Cuts the power, if it has not failed yet, and says what is left on the disk.
    #[must_use]
    pub fn crash(&self) -> Vec<u8> {
        let mut disk = self.disk();
        disk.off = true;
        disk.write_back();
        disk.durable.clone()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, if it has power for one more step.
    fn step(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        match &mut disk.steps_left {
            Some(0) => disk.off = true,
            Some(steps) => *steps -= 1,
            None => {}
        }
        disk.powered()?;
        Ok(disk)
    }
}

impl Disk {
    fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power has failed")) } else { Ok(()) }
    }

    /// Moves what chance wants from the cache to the platter and forgets the rest.
    fn write_back(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        // Some crashes lose everything, some lose nothing, most are in between.
        let (kept, out_of) = match self.chance.below(8) {
            0 => (0, 1),
            1 => (1, 1),
            _ => (self.chance.below(4) + 1, 5),
        };
        let mut len = self.durable.len();
        let mut versions: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for change in &pending {
            match change {
                Pending::Resize(new) if self.chance.odds(kept, out_of) => len = *new,
                Pending::Resize(_) => {}
                Pending::Write { offset, data } => sectors(*offset, data, |sector, at, part| {
                    versions.entry(sector).or_default().push((at, part));
                }),
            }
        }
        let mut image = std::mem::take(&mut self.durable);
        for (_, writes) in versions {
            let done = writes.iter().take_while(|_| self.chance.odds(kept, out_of)).count();
            for (at, part) in &writes[..done] {
                put(&mut image, *at, part);
            }
        }
        image.resize(len, 0);
        self.durable = image;
    }

    fn sync(&mut self) -> io::Result<()> {
        match &mut self.syncs_left {
            Some(0) => {
                self.syncs_left = None;
                self.write_back();
                return Err(io::Error::other("sync failed"));
            }
            Some(syncs) => *syncs -= 1,
            None => {}
        }
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Write { offset, data } => put(&mut self.durable, offset, &data),
                Pending::Resize(len) => self.durable.resize(len, 0),
            }
        }
        self.syncs += 1;
        Ok(())
    }
}

/// Cuts a write at the borders of sectors: sector, offset, bytes.
fn sectors<'a>(offset: usize, data: &'a [u8], mut each: impl FnMut(usize, usize, &'a [u8])) {
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
        each(at / SECTOR, at, part);
        at += part.len();
        rest = after;
    }
}

fn put(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("a disk in memory is addressed by memory's numbers")
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        let disk = self.disk();
        disk.powered()?;
        Ok(disk.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.disk();
        disk.powered()?;
        let offset = position(offset);
        let data = disk.live.get(offset..offset + out.len());
        out.copy_from_slice(data.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.step()?;
        if len > disk.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = position(len);
        disk.live.resize(len, 0);
        disk.pending.push(Pending::Resize(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step()?.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.step()?;
        if offset + data.len() as u64 > disk.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let offset = position(offset);
        put(&mut disk.live, offset, data);
        disk.pending.push(Pending::Write { offset, data: data.to_vec() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_and_what_was_not_may_be_torn() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let disk = Faulty::new(seed);
            disk.set_len(4 * SECTOR as u64).unwrap();
            disk.write(0, &[1; 4 * SECTOR]).unwrap();
            disk.sync_data().unwrap();
            disk.write(0, &[2; 4 * SECTOR]).unwrap();
            let image = disk.crash();
            assert_eq!(image.len(), 4 * SECTOR);
            let sectors: Vec<u8> = image.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(image.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            outcomes.insert(sectors);
        }
        assert!(outcomes.contains([1; 4].as_slice()) && outcomes.contains([2; 4].as_slice()));
        assert!(outcomes.len() > 4, "some are torn: {outcomes:?}");
    }

    #[test]
    fn a_failed_sync_loses_writes_for_good() {
        let lost = (0..50).filter(|seed| {
            let disk = Faulty::new(*seed);
            disk.set_len(SECTOR as u64).unwrap();
            disk.sync_data().unwrap();
            disk.write(0, &[2; SECTOR]).unwrap();
            disk.fail_sync_after(0);
            assert!(disk.sync_data().is_err());
            disk.sync_data().unwrap();
            disk.crash()[0] == 0
        });
        assert!(lost.count() > 0);
    }

    #[test]
    fn a_disk_that_is_full_or_off_says_so() {
        let disk = Faulty::new(1);
        disk.set_capacity(100);
        assert_eq!(disk.write(90, &[1; 11]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.power_off_after(1);
        disk.write(0, &[1]).unwrap();
        assert!(disk.write(0, &[2]).is_err() && disk.read(0, &mut [0]).is_err() && disk.is_off());
    }
}
