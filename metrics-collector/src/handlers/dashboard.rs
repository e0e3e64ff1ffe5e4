//! `GET /api/dashboard`: what is going on.

use common::clock::Timestamp;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::Invalid;
use rusqlite::Connection;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::dashboard::{Looking, Overview, PerVital, RequestChart, RequestFigures, Top, VitalChart, Vitals};
use crate::store::cells::{self, Reading, TotalSpans, Wanted};
use crate::store::pending::{SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use crate::store::rollups::Rollup;
use crate::store::{lists, on_one_state};
use crate::vitals::Vital;
use crate::window::{Resolution, Window};

/// The chart of requests has minutes for periods up to this, hours beyond: as many points as a screen has room for. Six hours
/// touch a minute more.
const MINUTES_OF_REQUESTS_UP_TO: i64 = 6 * SECONDS_PER_HOUR + SECONDS_PER_MINUTE;
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
    requests: Option<RequestsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_vitals: Option<VitalsView<'a>>,
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
    let (query, now) = (request.query(), ctx.core.clock.now());
    let window = Window::parse(query, now, ctx.shared.retention.minutes)?;
    let reader = ctx.reader()?;
    // Before that state, so that what is kept is never taken for newer than it is.
    let rollups = ctx.shared.figures.minutes.done();
    let response = on_one_state::<_, ApiError>(reader, || {
        let spans = TotalSpans::of(reader, &window)?;
        let mut totals = ctx.shared.totals.of(reader, &spans, rollups)?;
        spans.for_each_open(reader, &mut |series, count, sum| totals.entry(series).or_default().add(count, sum))?;
        let mut looking = Looking::new(&totals);
        lists::for_each_series(reader, query.text("project"), &mut |series| looking.add(*series))?;
        let overview = looking.finish();
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

#[derive(Serialize)]
struct RequestsView {
    #[serde(flatten)]
    all: RequestView,
    latency_unit: &'static str,
    resolution: &'static str,
    timeseries: Vec<RequestView>,
}

#[derive(Serialize)]
struct RequestView {
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    count: f64,
    per_second: f64,
    errors: f64,
    error_rate: Option<f64>,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl RequestView {
    fn new(bucket: Option<i64>, figures: &RequestFigures, seconds: i64) -> Self {
        let [p50, p95, p99] = figures.latency;
        Self {
            bucket: bucket.map(time),
            count: figures.all,
            per_second: figures.all / seconds as f64,
            errors: figures.errors,
            error_rate: figures.error_rate(),
            p50,
            p95,
            p99,
        }
    }
}

/// None when there are no requests in the period.
fn requests(
    conn: &Connection,
    window: &Window,
    overview: &Overview,
    now: Timestamp,
) -> Result<Option<RequestsView>, ApiError> {
    if overview.requests.is_empty() {
        return Ok(None);
    }
    let is_short = window.seconds() <= MINUTES_OF_REQUESTS_UP_TO;
    let window = if is_short { window.clone() } else { window.with_resolution(Resolution::Hour) };
    let mut chart = RequestChart::new(overview);
    read(conn, &window, &overview.wanted_for_requests(), &mut |bucket, rollup| chart.add(bucket, rollup))?;
    let (all, buckets) = chart.finish()?;
    let now = now.millis().div_euclid(1000);
    let until_now = |from: i64, to: i64| (to.min(now) - from).max(1);
    let seconds = window.resolution.seconds();
    let row = |(bucket, figures): (i64, RequestFigures)| {
        RequestView::new(Some(bucket), &figures, until_now(bucket, bucket + seconds))
    };
    Ok(Some(RequestsView {
        all: RequestView::new(None, &all, until_now(window.from, window.to)),
        latency_unit: LATENCY_UNIT,
        resolution: window.resolution.name(),
        timeseries: buckets.into_iter().map(row).collect(),
    }))
}

#[derive(Serialize)]
struct VitalsView<'a> {
    resolution: &'static str,
    summary: Value,
    timeseries: Vec<VitalRow<'a>>,
    by_page: Vec<VitalRow<'a>>,
}

/// None when no browser has sent any in the period.
fn web_vitals<'o>(
    conn: &Connection,
    window: &Window,
    overview: &'o Overview,
) -> Result<Option<VitalsView<'o>>, ApiError> {
    let wanted = overview.wanted_for_vitals();
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut chart = VitalChart::new(overview);
    read(conn, window, &wanted, &mut |bucket, rollup| chart.add(bucket, rollup))?;
    let Vitals { all, buckets, pages } = chart.finish()?;
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
    Ok(Some(VitalsView {
        resolution: window.resolution.name(),
        summary: summary.into(),
        timeseries: buckets.into_iter().map(|(bucket, vitals)| VitalRow { of: Of::Bucket(bucket), vitals }).collect(),
        by_page: pages
            .into_iter()
            .map(|(name, views, vitals)| VitalRow { of: Of::Page { name, views }, vitals })
            .collect(),
    }))
}

/// What a row of Web Vitals is about.
enum Of<'a> {
    Bucket(i64),
    Page { name: &'a str, views: u64 },
}

/// A row of Web Vitals: averages under the vital's name, as in the original, and p75 beside them. There may be thousands, so
/// the names of their members are made only when they are written.
struct VitalRow<'a> {
    of: Of<'a>,
    vitals: PerVital,
}

impl Serialize for VitalRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        match self.of {
            Of::Bucket(bucket) => {
                row.serialize_entry("bucket", &time(bucket))?;
                row.serialize_entry("count", &self.vitals.iter().map(|figures| figures.count).sum::<u64>())?;
            }
            Of::Page { name, views } => {
                row.serialize_entry("page", name)?;
                row.serialize_entry("page_views", &views)?;
            }
        }
        for vital in Vital::ALL {
            let (name, figures) = (vital.name(), self.vitals[vital as usize]);
            row.serialize_entry(name, &figures.avg)?;
            row.serialize_entry(&format!("{name}_p75"), &figures.p75)?;
            if matches!(self.of, Of::Page { .. }) {
                row.serialize_entry(&format!("{name}_rating"), vital.rating(figures.p75))?;
            }
        }
        row.end()
    }
}

fn read(
    conn: &Connection,
    window: &Window,
    wanted: &Wanted,
    each: &mut dyn FnMut(i64, &Rollup) -> Result<(), Invalid>,
) -> Result<(), ApiError> {
    let reading = Reading { window, wanted, sketches: true, in_parts: true };
    cells::for_each(conn, &reading, &mut |bucket, rollup| Ok(each(bucket, &rollup)?))
}

fn time(second: i64) -> String {
    Timestamp::from_millis(second * 1000).to_string()
}
