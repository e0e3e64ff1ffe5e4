//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers. Panics where a promise is broken.

mod connection;
mod handlers;

use crate::clock::Timestamp;
use crate::http::body::{BadChunks, Chunks};
use crate::http::head::Head;
use crate::json::{self, Object};
use crate::query::Query;

pub use handlers::{Handlers, Setup};

/// The time at which everything happens.
pub const NOW: Timestamp = Timestamp::from_millis(1_768_900_000_000);

/// A body may decode to so much.
const BODY_BYTES_MAX: usize = 4 << 10;

/// All that a client may send over one connection. The first byte says where it is cut in two.
pub fn connection(bytes: &[u8]) {
    connection::check(bytes);
}

/// A chunked body is the same however it is cut.
pub fn chunks(bytes: &[u8]) {
    let Some((cut, input)) = bytes.split_first() else { return };
    let decode = |piece: usize| {
        let (mut chunks, mut body, mut pending) = (Chunks::new(), Vec::new(), Vec::new());
        for piece in input.chunks(piece) {
            pending.extend_from_slice(piece);
            let taken = chunks.decode(&pending, &mut body, BODY_BYTES_MAX)?;
            pending.drain(..taken);
        }
        assert!(body.len() <= BODY_BYTES_MAX);
        Ok::<_, BadChunks>((chunks.is_done(), body, pending.len()))
    };
    assert_eq!(decode(input.len().max(1)), decode(usize::from(*cut).max(1)));
}

/// The head of a request is refused, or in order.
pub fn head(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    bytes.extend_from_slice(b"\r\n\r\n");
    if let Ok(head) = Head::parse(&bytes) {
        head.header("host");
        head.last_header("x-forwarded-for");
    }
}

/// A query and its numbers.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let _ = (query.integer("limit"), query.time("since"), query.page(50, 200));
}

/// A time is the same when it is written and read again, and so is what follows its milliseconds.
pub fn time(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((time, nanos)) = Timestamp::parse_with_nanos(text) {
        assert!(nanos < 1_000_000);
        assert_eq!(Timestamp::parse(&time.with_millis()), Some(time));
        assert_eq!(Timestamp::parse(text), Some(time));
    }
}

/// JSON that is made compact means the same.
pub fn compact(bytes: &[u8]) {
    let Ok(text) = json::check(bytes) else { return };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json::compact(text)).expect("still JSON"), value);
    if let Ok(object) = Object::parse(bytes) {
        object.text("a");
    }
}
