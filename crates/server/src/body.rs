//! Bodies of answers: bytes that are ready, a few pieces of them, or a stream that ends when it likes.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};

/// The body of an answer.
pub enum Body {
    /// Pieces that are all there.
    Ready {
        /// What is still to be sent.
        pieces: VecDeque<Bytes>,
        /// Bytes in them.
        left: u64,
    },
    /// Pieces that come with time, as in a watch.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
    /// What the registry sends; it may break off.
    Registry(::registry::Body),
}

impl Body {
    /// No body.
    pub fn empty() -> Body {
        Body::Ready { pieces: VecDeque::new(), left: 0 }
    }

    /// A body of several pieces, its length known.
    pub fn pieces(pieces: VecDeque<Bytes>) -> Body {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Body::Ready { pieces, left }
    }

    /// A body that comes with time.
    pub fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Body {
        Body::Stream(Box::pin(stream))
    }

    /// Bytes of a ready body; `None` for a stream.
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Ready { left, .. } => Some(*left),
            Body::Stream(_) => None,
            Body::Registry(body) => http_body::Body::size_hint(body).exact(),
        }
    }

    /// True for a ready body without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Body {
        let bytes = bytes.into();
        let left = bytes.len() as u64;
        Body::Ready { pieces: VecDeque::from([bytes]), left }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?})", self.len())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Body::Ready { pieces, left } => Poll::Ready(pieces.pop_front().map(|piece| {
                *left -= piece.len() as u64;
                Ok(Frame::data(piece))
            })),
            Body::Stream(stream) => {
                stream.as_mut().poll_next(cx).map(|item| item.map(|piece| Ok(Frame::data(piece))))
            }
            Body::Registry(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Ready { pieces, .. } => pieces.is_empty(),
            Body::Stream(_) => false,
            Body::Registry(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Ready { left, .. } => SizeHint::with_exact(*left),
            Body::Stream(_) => SizeHint::default(),
            Body::Registry(body) => body.size_hint(),
        }
    }
}
