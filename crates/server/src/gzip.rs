//! Compressed answers, for clients that ask for them and answers that are worth it.
//!
//! A long answer is compressed piece by piece while it is sent, so that no request holds the processor for long or keeps
//! a second copy of what it sends. Watches are never compressed: an event must not wait for the next.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::body::Body;
use crate::limits;

/// True when a client takes compressed answers.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING);
    values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|clause| {
        let (name, weight) = clause.split_once(';').unwrap_or((clause, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Compresses an answer if it is long enough and not compressed yet.
pub fn answer(mut response: Response<Body>) -> Response<Body> {
    // Only what is ready is compressed: a watch must not wait for more, and blobs mostly are compressed already.
    let long = matches!(response.body(), Body::Ready { left, .. } if *left >= limits::GZIP_LEAST);
    if !long || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.remove(header::CONTENT_LENGTH);
    response.map(|body| match body {
        Body::Ready { pieces, .. } => pieces_of(pieces),
        other => other,
    })
}

/// Compresses bytes that will be sent often.
pub fn whole(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all that is written");
    encoder.finish().expect("a vector takes all that is written").into()
}

fn pieces_of(pieces: VecDeque<Bytes>) -> Body {
    let encoder = GzEncoder::new(Vec::with_capacity(limits::LIST_CHUNK), Compression::fast());
    Body::stream(stream::unfold(Some((encoder, pieces)), |state| async move {
        let (encoder, pieces) = state?;
        step(encoder, pieces)
    }))
}

type State = (GzEncoder<Vec<u8>>, VecDeque<Bytes>);

/// Compresses until there is something to send; the state is gone with the last of it.
fn step(mut encoder: GzEncoder<Vec<u8>>, mut pieces: VecDeque<Bytes>) -> Option<(Bytes, Option<State>)> {
    while let Some(mut piece) = pieces.pop_front() {
        if piece.len() > limits::LIST_CHUNK {
            pieces.push_front(piece.split_off(limits::LIST_CHUNK));
        }
        encoder.write_all(&piece).expect("a vector takes all that is written");
        if !encoder.get_ref().is_empty() {
            let ready = std::mem::take(encoder.get_mut());
            return Some((ready.into(), Some((encoder, pieces))));
        }
    }
    let rest = encoder.finish().expect("a vector takes all that is written");
    Some((rest.into(), None))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;

    use super::*;

    fn check(accept: &str, want: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        assert_eq!(is_wanted(&headers), want, "{accept}");
    }

    #[test]
    fn clients_say_whether_they_take_it() {
        check("gzip", true);
        check("deflate, GZIP;q=0.5", true);
        check("gzip;q=0", false);
        check("identity", false);
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn long_answers_are_the_same_when_they_are_unpacked() {
        let text: Vec<u8> = (0..400_000u32).flat_map(|n| (n % 251).to_be_bytes()).collect();
        let bytes = Bytes::from(text.clone());
        let pieces = VecDeque::from([bytes.slice(..10), bytes.slice(10..300_000), bytes.slice(300_000..)]);
        let packed = answer(Response::new(Body::pieces(pieces)));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let packed = packed.into_body().collect().await.unwrap().to_bytes();
        assert!(packed.len() < text.len() / 4);
        for packed in [packed, whole(&text)] {
            let mut unpacked = Vec::new();
            GzDecoder::new(packed.as_ref()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == text);
        }
    }

    #[test]
    fn short_answers_and_watches_stay_as_they_are() {
        let short = answer(Response::new(Body::from("short")));
        assert!(!short.headers().contains_key(header::CONTENT_ENCODING));
        let watch = answer(Response::new(Body::stream(stream::empty())));
        assert!(!watch.headers().contains_key(header::CONTENT_ENCODING));
    }
}
