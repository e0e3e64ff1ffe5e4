//! `POST /api/metrics`: takes a batch of values.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::http::error::{ApiError, Kind};
use common::http::idempotency::Once;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::json;

use crate::context::Context;
use crate::sample::{Accepted, Batch};
use crate::store::points::Recorded;

/// Clocks of clients may be ahead by so much.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// Stores the batch, whole or not at all, and answers once it is on disk.
pub(crate) fn create(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let once = Once::of(request)?;
    let shared = Arc::clone(&ctx.shared);
    let now = ctx.core.clock.now();
    let accepted = Accepted { now, from: now.saturating_sub(shared.retention.raw), to: now.saturating_add(AHEAD_MAX) };
    let catalog = &shared.ingest.catalog;
    let batch =
        Batch::parse(&request.body, accepted, &shared.dropped_labels, &catalog.keyer, &|key| catalog.knows(key))?;
    let bytes = batch.bytes();
    let ingest = Arc::clone(&shared);
    Ok(Reply::after_commit(
        bytes,
        move |tx| ingest.ingest.record(tx, now, &batch, once.as_ref()),
        move |recorded| {
            let count = match recorded {
                Recorded::Stored { count, learned } => {
                    shared.ingest.catalog.learn(learned);
                    shared.figures.points_stored(count as u64);
                    count
                }
                Recorded::Repeated { count } => count,
                Recorded::KeyReused => return Err(Once::reused()),
                Recorded::Stale => return Err(ApiError::unavailable(1, "Series are being forgotten, try again")),
                Recorded::TooManySeries { item } => {
                    shared.ingest.refused.fetch_add(1, Ordering::Relaxed);
                    let most = shared.ingest.series_max;
                    let detail =
                        format!("There are {most} series already, the most there can be (MAX_SERIES) (item {item})");
                    return Err(ApiError::new(Kind::Invalid, detail));
                }
            };
            Ok(Response::json(202, &json!({"status": "accepted", "count": count})))
        },
    ))
}
