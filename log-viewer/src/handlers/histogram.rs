//! `GET /api/logs/histogram`: how much was logged when, by level. The text that is searched for does not count here.

use std::collections::BTreeMap;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::entry::LogTime;
use crate::filter::Filter;
use crate::store;

#[derive(Serialize)]
struct BucketView {
    time: String,
    counts: BTreeMap<&'static str, i64>,
}

pub(crate) fn show(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let filter = Filter::parse(request.query())?;
    let now = LogTime::from(ctx.core.clock.now());
    let Some(histogram) = store::histogram(ctx.reader()?, &filter, now)? else {
        let empty = json!({"from": null, "to": null, "bucket_seconds": null, "buckets": []});
        return Ok(Response::json(200, &empty).into());
    };
    let mut buckets: BTreeMap<i64, BucketView> = BTreeMap::new();
    for (begin, level, count) in &histogram.counts {
        let bucket = buckets
            .entry(begin.nanos())
            .or_insert_with(|| BucketView { time: begin.to_string(), counts: BTreeMap::new() });
        bucket.counts.insert(level.name(), *count);
    }
    let of = |nanos: i64| LogTime::from_nanos(nanos).to_string();
    let view = json!({
        "from": of(histogram.buckets.from),
        "to": of(histogram.buckets.to),
        "bucket_seconds": histogram.buckets.width / 1_000_000_000,
        "buckets": buckets.into_values().collect::<Vec<_>>(),
    });
    Ok(Response::json(200, &view).into())
}
