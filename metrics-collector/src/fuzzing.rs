//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use std::time::Duration;

use common::clock::Timestamp;
use common::query::Query;

use crate::question::Question;
use crate::sample::{Accepted, Batch};
use crate::series::Keyer;
use crate::window::Window;

const NOW: Timestamp = Timestamp::from_millis(1_768_900_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A batch is refused, or all of its points are as they must be.
pub fn batch(bytes: &[u8]) {
    let accepted = Accepted { now: NOW, from: NOW.saturating_sub(DAY), to: NOW.saturating_add(DAY) };
    let dropped = ["session_id".to_owned()];
    let Ok(batch) = Batch::parse(bytes, accepted, &dropped, &Keyer::default(), &|_| false) else { return };
    for point in &batch.points {
        assert!(point.value.is_finite() && (accepted.from..=accepted.to).contains(&point.at));
    }
}

/// A question is refused, or its window is in order.
pub fn question(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = Query::parse(text) else { return };
    if let Ok(question) = Question::parse(&query) {
        question.group_of(r#"{"a":"1","b":"2"}"#);
    }
    if let Ok(window) = Window::parse(&query, NOW, DAY) {
        assert!(window.from < window.to);
    }
}
