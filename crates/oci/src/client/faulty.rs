//! A transport that breaks things on purpose, the same way for the same seed.
//!
//! For tests of everything above a transport: whatever happens on the way, a caller must end with checked content or
//! with an error that does not pass for an answer.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};

use super::transport::{ResponseBody, Transport, TransportError, Trust};

/// What can go wrong with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request never gets an answer: the connection is reset.
    Drop,
    /// The request waits for ever.
    Hang,
    /// 429 with a short `Retry-After`, instead of the answer.
    TooManyRequests,
    /// 503, instead of the answer.
    Unavailable,
    /// Half of the body, then the connection breaks.
    Truncate,
    /// Half of the body, then a proper end: only the length tells.
    ShortBody,
    /// A `Content-Length` one larger than the body.
    LyingLength,
    /// One bit of the body is another.
    Corrupt,
    /// The body comes byte by byte, with pauses.
    Slow,
}

const FAULTS: [Fault; 9] = [
    Fault::Drop,
    Fault::Hang,
    Fault::TooManyRequests,
    Fault::Unavailable,
    Fault::Truncate,
    Fault::ShortBody,
    Fault::LyingLength,
    Fault::Corrupt,
    Fault::Slow,
];

/// Lets some answers of another transport go wrong.
#[derive(Debug)]
pub struct FaultyTransport {
    inner: Arc<dyn Transport>,
    /// One answer in this many; 0 for none.
    one_in: u64,
    state: Mutex<u64>,
    only: Option<Fault>,
}

impl FaultyTransport {
    /// Lets about one answer in `one_in` go wrong, decided by `seed`.
    pub fn seeded(inner: Arc<dyn Transport>, seed: u64, one_in: u64) -> Self {
        Self { inner, one_in, state: Mutex::new(seed), only: None }
    }

    /// Lets every answer go wrong in the same way.
    pub fn always(inner: Arc<dyn Transport>, fault: Fault) -> Self {
        Self { inner, one_in: 1, state: Mutex::new(0), only: Some(fault) }
    }

    fn next_fault(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = self.one_in > 0 && next(&mut state).is_multiple_of(self.one_in);
        if !hit {
            return None;
        }
        let index = usize::try_from(next(&mut state) % FAULTS.len() as u64).unwrap_or(0);
        Some(self.only.unwrap_or(FAULTS[index]))
    }
}

/// The next number of a small generator (splitmix64): good enough to spread faults.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Transport for FaultyTransport {
    fn send(
        &self,
        request: Request<Bytes>,
        trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        Box::pin(async move {
            match self.next_fault() {
                None => self.inner.send(request, trust).await,
                Some(Fault::Drop) => Err(TransportError::Reset),
                Some(Fault::Hang) => std::future::pending().await,
                Some(Fault::TooManyRequests) => {
                    let mut answer = bare(StatusCode::TOO_MANY_REQUESTS);
                    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                    Ok(answer)
                }
                Some(Fault::Unavailable) => Ok(bare(StatusCode::SERVICE_UNAVAILABLE)),
                Some(fault) => spoil(self.inner.send(request, trust).await?, fault).await,
            }
        })
    }
}

fn bare(status: StatusCode) -> Response<ResponseBody> {
    let mut answer = Response::new(whole(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

async fn spoil(
    answer: Response<ResponseBody>,
    fault: Fault,
) -> Result<Response<ResponseBody>, TransportError> {
    let (mut parts, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let half = bytes.slice(..bytes.len() / 2);
    let body = match fault {
        Fault::Truncate => pieces(vec![Ok(half), Err(TransportError::Truncated)], Duration::ZERO),
        Fault::ShortBody => whole(half),
        Fault::LyingLength => {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len() + 1));
            whole(bytes)
        }
        Fault::Corrupt => {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            whole(bytes.into())
        }
        Fault::Slow => {
            let singles = (0..bytes.len()).map(|at| Ok(bytes.slice(at..=at))).collect();
            pieces(singles, Duration::from_secs(1))
        }
        Fault::Drop | Fault::Hang | Fault::TooManyRequests | Fault::Unavailable => whole(bytes),
    };
    Ok(Response::from_parts(parts, body))
}

fn whole(bytes: Bytes) -> ResponseBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn pieces(pieces: Vec<Result<Bytes, TransportError>>, pause: Duration) -> ResponseBody {
    let stream = futures_util::stream::unfold(pieces.into_iter(), move |mut rest| async move {
        let piece = rest.next()?;
        tokio::time::sleep(pause).await;
        Some((piece.map(http_body::Frame::data), rest))
    });
    StreamBody::new(stream).boxed_unsync()
}
