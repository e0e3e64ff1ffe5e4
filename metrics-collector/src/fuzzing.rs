//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use common::fuzzing::{Handlers, NOW, Setup};
use common::query::Query;

use crate::config::Retention;
use crate::context::Shared;
use crate::question::Question;
use crate::routes::ROUTES;
use crate::sample::{Accepted, Batch};
use crate::series::Keyer;
use crate::store;
use crate::store::points::Ingest;
use crate::totals::TotalsCache;
use crate::window::Window;

const DAY: Duration = Duration::from_secs(86_400);
/// Few, so that there are too many soon.
const SERIES_MAX: u32 = 500;

thread_local! {
    static HANDLERS: RefCell<Handlers<Shared>> = const { RefCell::new(Handlers::new(SETUP)) };
}

const SETUP: Setup<Shared> = Setup {
    routes: ROUTES,
    migrations: store::MIGRATIONS,
    prepare_reader: |_| Ok(()),
    shared: |_| Shared {
        ingest: Ingest::new(SERIES_MAX, 0),
        retention: Retention { raw: DAY, minutes: DAY, hours: DAY },
        dropped_labels: vec!["session_id".to_owned()],
        figures: Arc::default(),
        totals: TotalsCache::default(),
    },
    notes: &[],
};

/// A request is refused with a reason, or answered.
pub fn request(bytes: &[u8]) {
    HANDLERS.with_borrow_mut(|handlers| handlers.answer(bytes));
}

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
