//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers. Panics where a promise is broken.

use crate::clock::Timestamp;
use crate::http::head::Head;
use crate::json::{self, Object};
use crate::query::Query;

/// The head of a request is refused, or in order.
pub fn head(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    bytes.extend_from_slice(b"\r\n\r\n");
    if let Ok(head) = Head::parse(&bytes) {
        head.header("host");
        head.last_header("x-forwarded-for");
    }
}

/// A query, its times and numbers.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let _ = (query.integer("limit"), query.time("since"), query.page(50, 200));
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.with_millis()), Some(time));
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
