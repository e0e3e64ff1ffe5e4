//! `GET /api/dashboard`: what is going on.

use common::clock::Timestamp;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::dashboard::{Overview, PerVital, RequestChart, Requests, Top, VitalChart, Vitals};
use crate::store::cells::TotalSpans;
use crate::store::{cells, lists, on_one_state};
use crate::vitals::Vital;
use crate::window::{Resolution, Window};

/// The chart of requests has minutes for periods up to this, hours beyond: as many points as a screen has room for.
const MINUTES_OF_REQUESTS_UP_TO: i64 = 6 * 3600;
/// What the Python SDK measures requests in.
const LATENCY_UNIT: &str = "s";

#[derive(Serialize)]
struct DashboardView<'a> {
    period: &'a str,
    from: String,
    to: String,
    summary: Value,
    top_metrics: Vec<TopView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_vitals: Option<Value>,
}

#[derive(Serialize)]
struct TopView<'a> {
    name: &'a str,
    r#type: &'static str,
    count: u64,
    total: f64,
}

impl<'a> From<&'a Top> for TopView<'a> {
    fn from(top: &'a Top) -> Self {
        Self { name: &top.name, r#type: top.kind.name(), count: top.total.count, total: top.total.sum }
    }
}

/// All of it is one state of the database, and covers the whole period.
pub(crate) fn show(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let (query, now) = (request.query(), ctx.shared.clock.now());
    let window = Window::parse(query, now, ctx.shared.retention.minutes)?;
    let project = query.text("project");
    let reader = ctx.reader()?;
    // Before that state, so that what is kept is never taken for newer than it is.
    let rollups = ctx.shared.figures.minutes.done();
    let response = on_one_state::<_, ApiError>(reader, || {
        let spans = TotalSpans::of(reader, &window)?;
        let mut totals = ctx.shared.totals.of(reader, &spans, rollups)?;
        spans.for_each_open(reader, &mut |series, count, sum| totals.entry(series).or_default().add(count, sum))?;
        let mut series = Vec::new();
        lists::for_each_series(reader, project, &mut |one| {
            if totals.contains_key(&one.id) {
                series.push(one);
            }
        })?;
        let overview = Overview::new(series, &totals);
        drop(totals);
        let view = DashboardView {
            period: &window.period,
            from: time(window.from),
            to: time(window.to),
            summary: json!({
                "total_datapoints": overview.datapoints, "distinct_metrics": overview.distinct_metrics
            }),
            top_metrics: overview.top.iter().map(TopView::from).collect(),
            requests: requests(reader, &window, &overview, now)?,
            web_vitals: web_vitals(reader, &window, &overview)?,
        };
        Ok(Response::json(200, &view))
    })?;
    Ok(response.into())
}

/// None when there are no requests in the period.
fn requests(
    conn: &rusqlite::Connection,
    window: &Window,
    overview: &Overview,
    now: Timestamp,
) -> rusqlite::Result<Option<Value>> {
    if overview.requests.is_empty() {
        return Ok(None);
    }
    let is_short = window.seconds() <= MINUTES_OF_REQUESTS_UP_TO;
    let window = if is_short { window.clone() } else { window.with_resolution(Resolution::Hour) };
    let mut chart = RequestChart::new(overview);
    cells::for_each(conn, &window, &overview.wanted_for_requests(), true, &mut |bucket, rollup| {
        chart.add(bucket, &rollup);
        Ok(())
    })?;
    let now = now.millis().div_euclid(1000);
    let until_now = |from: i64, to: i64| (to.min(now) - from).max(1);
    let seconds = window.resolution.seconds();
    let timeseries: Vec<Value> = chart
        .buckets
        .iter()
        .map(|one| {
            let mut row = request_figures(one, until_now(one.bucket, one.bucket + seconds));
            row.insert("bucket".into(), time(one.bucket).into());
            Value::Object(row)
        })
        .collect();
    let mut all = request_figures(&chart.all(), until_now(window.from, window.to));
    all.insert("latency_unit".into(), LATENCY_UNIT.into());
    all.insert("resolution".into(), window.resolution.name().into());
    all.insert("timeseries".into(), timeseries.into());
    Ok(Some(Value::Object(all)))
}

fn request_figures(requests: &Requests, seconds: i64) -> Map<String, Value> {
    let mut figures = Map::new();
    let mut put = |name: &str, value: Option<f64>| figures.insert(name.into(), value.into());
    put("count", Some(requests.all));
    put("per_second", Some(requests.all / seconds as f64));
    put("errors", Some(requests.errors));
    put("error_rate", requests.error_rate());
    for (name, p) in [("p50", 50), ("p95", 95), ("p99", 99)] {
        put(name, requests.durations.percentile(p));
    }
    figures
}

/// None when no browser has sent any in the period.
fn web_vitals(conn: &rusqlite::Connection, window: &Window, overview: &Overview) -> rusqlite::Result<Option<Value>> {
    let wanted = overview.wanted_for_vitals();
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut chart = VitalChart::new(overview);
    cells::for_each(conn, window, &wanted, true, &mut |bucket, rollup| {
        chart.add(bucket, &rollup);
        Ok(())
    })?;
    let Vitals { all, buckets, pages } = chart.finish();
    let summary: Map<String, Value> = Vital::ALL
        .into_iter()
        .map(|vital| {
            let figures = all[vital as usize];
            let view = json!({
                "avg": figures.avg, "p75": figures.p75, "count": figures.count, "rating": vital.rating(figures.p75)
            });
            (vital.name().to_owned(), view)
        })
        .collect();
    let timeseries: Vec<Value> = buckets
        .iter()
        .map(|(bucket, vitals)| {
            let mut row = vital_row(vitals);
            row.insert("bucket".into(), time(*bucket).into());
            row.insert("count".into(), vitals.iter().map(|figures| figures.count).sum::<u64>().into());
            Value::Object(row)
        })
        .collect();
    let by_page: Vec<Value> = pages
        .iter()
        .map(|(page, views, vitals)| {
            let mut row = vital_row(vitals);
            row.insert("page".into(), (*page).into());
            row.insert("page_views".into(), (*views).into());
            for vital in Vital::ALL {
                let rating = vital.rating(vitals[vital as usize].p75);
                row.insert(format!("{}_rating", vital.name()), rating.into());
            }
            Value::Object(row)
        })
        .collect();
    Ok(Some(json!({
        "resolution": window.resolution.name(), "summary": summary, "timeseries": timeseries, "by_page": by_page
    })))
}

/// Averages under the vital's name, as in the original, and p75 beside them.
fn vital_row(vitals: &PerVital) -> Map<String, Value> {
    let mut row = Map::new();
    for vital in Vital::ALL {
        let figures = vitals[vital as usize];
        row.insert(vital.name().into(), figures.avg.into());
        row.insert(format!("{}_p75", vital.name()), figures.p75.into());
    }
    row
}

fn time(second: i64) -> String {
    Timestamp::from_millis(second * 1000).to_string()
}
