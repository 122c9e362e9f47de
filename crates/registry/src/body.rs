//! Bodies: what comes in, of any kind, and what goes out.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

/// Any error of a body that comes in.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body that comes in.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an answer. An error in the middle makes the server cut the connection, so that the client knows.
pub enum Body {
    /// Bytes that are all there.
    Ready(Bytes),
    /// Bytes that come with time.
    Stream {
        /// They.
        bytes: BoxStream<'static, io::Result<Bytes>>,
        /// How many are left, when that is known.
        left: Option<u64>,
    },
}

impl Body {
    /// No body.
    pub fn empty() -> Body {
        Body::Ready(Bytes::new())
    }

    /// A body that comes with time.
    pub fn stream(bytes: BoxStream<'static, io::Result<Bytes>>, length: Option<u64>) -> Body {
        Body::Stream { bytes, left: length }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Body {
        Body::Ready(bytes.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Ready(bytes) => write!(f, "Body({})", bytes.len()),
            Body::Stream { left, .. } => write!(f, "Body({left:?} to come)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Body::Ready(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Ready(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream { bytes, left } => {
                let polled = Pin::new(bytes).poll_next(cx);
                if let (Poll::Ready(Some(Ok(chunk))), Some(left)) = (&polled, left) {
                    *left = left.saturating_sub(chunk.len() as u64);
                }
                polled.map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Ready(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream { left: Some(left), .. } => SizeHint::with_exact(*left),
            Body::Stream { left: None, .. } => SizeHint::default(),
        }
    }
}
