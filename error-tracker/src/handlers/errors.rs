//! `/api/errors`: take a report, list groups, show one, resolve one.

use std::sync::{Arc, PoisonError};

use common::clock::Timestamp;
use common::http::error::ApiError;
use common::http::idempotency::Once;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::{Invalid, Object};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, json};

use crate::activity::{Activity, HOURS};
use crate::context::Context;
use crate::fingerprint::Fingerprint;
use crate::group::{Detail, Filter, Occurrence, Outcome, Summary};
use crate::report::Report;
use crate::store::{self, Recorded};

/// Errors resolved at once: a page of the largest list.
const RESOLVE_MAX: usize = 200;

/// `POST /api/errors`: stores the report and answers once that is on disk.
pub(crate) fn create(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let once = Once::of(request)?;
    let report = Report::parse(&request.body)?;
    let fingerprint = Fingerprint::of(&report.project, &report.exception_type, &report.traceback);
    let now = ctx.core.clock.now();
    let shared = Arc::clone(&ctx.shared);
    let alerting = shared.alerts.is_on();
    Ok(Reply::after_commit(
        report.bytes(),
        move |tx| store::record(tx, now, &report, &fingerprint, alerting, once.as_ref()),
        move |recorded| {
            let recorded = recorded.ok_or_else(Once::reused)?;
            if recorded.outcome.alerts() {
                shared.alerts.wake();
            }
            Ok(recorded_response(&recorded, &fingerprint))
        },
    ))
}

/// `GET /api/errors`: groups, the last seen first.
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (filter, now) = (Filter::parse(request.query())?, ctx.core.clock.now());
    let (groups, total) = store::list(ctx.reader()?, &filter)?;
    let errors: Vec<_> = groups.iter().map(|group| SummaryView::new(group, now)).collect();
    let view = ListView { errors, total, limit: filter.limit, offset: filter.offset };
    Ok(Response::json(200, &view).into())
}

/// `GET /api/errors/{id}`
pub(crate) fn show(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let _one_at_a_time = ctx.shared.large_answer.lock().unwrap_or_else(PoisonError::into_inner);
    let detail = store::detail(ctx.reader()?, request.id)?.ok_or_else(|| ApiError::not_found("Error not found"))?;
    Ok(Response::json(200, &DetailView::new(&detail, ctx.core.clock.now())).into())
}

/// `POST /api/errors/{id}/resolve`
pub(crate) fn resolve(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (id, now) = (request.id, ctx.core.clock.now());
    Ok(Reply::after_commit(
        0,
        move |tx| store::resolve(tx, now, id),
        move |found| {
            if !found {
                return Err(ApiError::not_found("Error not found"));
            }
            Ok(Response::json(200, &json!({"status": "resolved", "id": id})))
        },
    ))
}

/// `POST /api/errors/{id}/reopen`
pub(crate) fn reopen(_ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let id = request.id;
    Ok(Reply::after_commit(
        0,
        move |tx| store::reopen(tx, id),
        move |found| {
            if !found {
                return Err(ApiError::not_found("Error not found"));
            }
            Ok(Response::json(200, &json!({"status": "reopened", "id": id})))
        },
    ))
}

/// `POST /api/errors/resolve`: many at once. Those that are not there are left out of the count.
pub(crate) fn resolve_all(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (ids, now) = (parse_ids(&request.body)?, ctx.core.clock.now());
    Ok(Reply::after_commit(
        size_of_val(ids.as_slice()),
        move |tx| {
            ids.iter()
                .try_fold(0, |count, id| Ok::<_, rusqlite::Error>(count + u32::from(store::resolve(tx, now, *id)?)))
        },
        |count| Ok(Response::json(200, &json!({"status": "resolved", "count": count}))),
    ))
}

fn parse_ids(body: &[u8]) -> Result<Vec<i64>, Invalid> {
    let object = Object::parse(body)?;
    let raw = object.raw("ids").ok_or_else(|| Invalid::new("Missing required field: ids"))?;
    let wrong = || Invalid::new("Field 'ids' must be an array of whole numbers");
    let numbers: Vec<Number> = serde_json::from_str(raw.get()).map_err(|reason| wrong().because(reason))?;
    // To JSON 7 and 7.0 are the same.
    let whole = |number: &Number| number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
    let ids = numbers.iter().map(|number| number.as_i64().or_else(|| whole(number)).ok_or_else(wrong));
    let ids = ids.collect::<Result<Vec<i64>, _>>()?;
    if !(1..=RESOLVE_MAX).contains(&ids.len()) {
        return Err(Invalid::new(format!("Field 'ids' must have 1 to {RESOLVE_MAX} numbers"))
            .because(format!("it has {}", ids.len())));
    }
    Ok(ids)
}

fn recorded_response(recorded: &Recorded, fingerprint: &Fingerprint) -> Response {
    let status = match recorded.outcome {
        Outcome::Incremented => 200,
        Outcome::Created | Outcome::Reopened => 201,
    };
    let view = RecordedView {
        status: recorded.outcome.name(),
        id: recorded.id,
        fingerprint: *fingerprint,
        count: recorded.count,
    };
    Response::json(status, &view)
}

#[derive(Serialize)]
struct RecordedView {
    status: &'static str,
    id: i64,
    #[serde(serialize_with = "as_text")]
    fingerprint: Fingerprint,
    count: i64,
}

#[derive(Serialize)]
struct ListView<'a> {
    errors: Vec<SummaryView<'a>>,
    total: i64,
    limit: i64,
    offset: i64,
}

#[derive(Serialize)]
struct SummaryView<'a> {
    id: i64,
    #[serde(serialize_with = "as_text")]
    fingerprint: Fingerprint,
    project: &'a str,
    exception_type: &'a str,
    message: &'a str,
    count: i64,
    #[serde(serialize_with = "as_text")]
    first_seen: Timestamp,
    #[serde(serialize_with = "as_text")]
    last_seen: Timestamp,
    resolved: bool,
    source: &'a str,
    environments: Json<'a>,
    activity: [u32; HOURS],
}

impl<'a> SummaryView<'a> {
    fn new(group: &'a Summary, now: Timestamp) -> Self {
        Self {
            id: group.id,
            fingerprint: group.fingerprint,
            project: &group.project,
            exception_type: &group.exception_type,
            message: &group.message,
            count: group.count,
            first_seen: group.first_seen,
            last_seen: group.last_seen,
            resolved: group.resolved_at.is_some(),
            source: &group.source,
            environments: Json::from_stored(&group.environments),
            activity: group.activity.unwrap_or_else(|| Activity::none(now)).until(now),
        }
    }
}

#[derive(Serialize)]
struct DetailView<'a> {
    #[serde(flatten)]
    summary: SummaryView<'a>,
    traceback: &'a str,
    resolved_at: Option<String>,
    occurrences: Vec<OccurrenceView<'a>>,
}

impl<'a> DetailView<'a> {
    fn new(detail: &'a Detail, now: Timestamp) -> Self {
        Self {
            summary: SummaryView::new(&detail.summary, now),
            traceback: &detail.traceback,
            resolved_at: detail.summary.resolved_at.map(|at| at.to_string()),
            occurrences: detail.occurrences.iter().map(|one| OccurrenceView::new(one, &detail.traceback)).collect(),
        }
    }
}

#[derive(Serialize)]
struct OccurrenceView<'a> {
    id: i64,
    #[serde(serialize_with = "as_text")]
    timestamp: Timestamp,
    environment: &'a str,
    request_url: Option<&'a str>,
    request_method: Option<&'a str>,
    request_headers: Option<Json<'a>>,
    user_id: Option<&'a str>,
    extra: Option<Json<'a>>,
    traceback: &'a str,
}

impl<'a> OccurrenceView<'a> {
    fn new(one: &'a Occurrence, group_traceback: &'a str) -> Self {
        Self {
            id: one.id,
            timestamp: one.timestamp,
            environment: &one.environment,
            request_url: one.request_url.as_deref(),
            request_method: one.request_method.as_deref(),
            request_headers: one.request_headers.as_deref().map(Json::from_stored),
            user_id: one.user_id.as_deref(),
            extra: one.extra.as_deref().map(Json::from_stored),
            traceback: one.traceback.as_deref().unwrap_or(group_traceback),
        }
    }
}

/// Stored JSON, sent as it is. Text that is none (only a file edited by hand holds such) is sent as a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Json<'a> {
    Value(&'a RawValue),
    Text(&'a str),
}

impl<'a> Json<'a> {
    fn from_stored(text: &'a str) -> Self {
        serde_json::from_str(text).map_or_else(|_| Self::Text(text), Self::Value)
    }
}

fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
