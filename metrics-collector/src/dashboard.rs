//! What a dashboard shows of all metrics: totals, requests and their latency, Web Vitals. Rollups go in, figures come out.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use common::json::Invalid;
use serde_json::Value;

use crate::aggregate::Merged;
use crate::answer::ROWS_MAX;
use crate::series::{SeriesId, Type};
use crate::store::cells::Wanted;
use crate::store::lists::Named;
use crate::store::rollups::Rollup;
use crate::vitals::Vital;

/// Metrics in `top_metrics`.
const TOP_MAX: usize = 10;
/// Pages in `by_page`.
const PAGES_MAX: usize = 20;
/// What the Python SDK's middleware sends.
const REQUESTS: &str = "http_requests_total";
const DURATIONS: &str = "http_request_duration_seconds";

/// Number of values and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Total {
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl Total {
    pub(crate) fn add(&mut self, count: u64, sum: f64) {
        self.count = self.count.saturating_add(count);
        self.sum = (self.sum + sum).clamp(f64::MIN, f64::MAX);
    }
}

/// The totals of a period, by series. Ids are ours and differ in their low bits: the cheapest hash will do.
pub(crate) type Totals = HashMap<SeriesId, Total, BuildHasherDefault<IdHasher>>;

/// Spreads an id over all bits, of which a map looks at the highest.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i64(&mut self, id: i64) {
        // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
        self.0 = (self.0 ^ id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A metric among those with the most values.
#[derive(Debug, PartialEq)]
pub(crate) struct Top {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) total: Total,
}

/// What the totals of a period tell, and which series are worth a closer look.
#[derive(Default)]
pub(crate) struct Overview {
    pub(crate) datapoints: u64,
    pub(crate) distinct_metrics: usize,
    /// The most values first.
    pub(crate) top: Vec<Top>,
    pub(crate) requests: HashMap<SeriesId, RequestPart>,
    vitals: HashMap<SeriesId, (Vital, usize)>,
    /// The most views first; behind them, one place for all others.
    pages: Vec<Page>,
}

/// What a series adds to the figures about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestPart {
    Requests,
    /// With a status of 500 and more.
    Errors,
    Durations,
}

#[derive(Debug)]
struct Page {
    name: String,
    /// Values of [`Vital::Lcp`]: a page sends one when it is left.
    views: u64,
}

/// Series on their way to an [`Overview`]. Of their labels only the pages are kept, each once.
pub(crate) struct Looking<'t> {
    totals: &'t Totals,
    overview: Overview,
    by_metric: BTreeMap<(String, Type), Total>,
    vitals: Vec<(SeriesId, Vital, usize)>,
    /// By name: its place among the views.
    pages: BTreeMap<String, usize>,
    views: Vec<u64>,
}

impl<'t> Looking<'t> {
    /// Without series.
    pub(crate) fn new(totals: &'t Totals) -> Self {
        let (overview, by_metric, pages) = (Overview::default(), BTreeMap::new(), BTreeMap::new());
        Self { totals, overview, by_metric, vitals: Vec::new(), pages, views: Vec::new() }
    }

    /// Series without values in the period do not count.
    pub(crate) fn add(&mut self, Named { id, name, kind, labels }: Named<'_>) {
        let Some(Total { count, sum }) = self.totals.get(&id).copied() else { return };
        self.overview.datapoints = self.overview.datapoints.saturating_add(count);
        if let Some(part) = request_part(name, kind, labels) {
            self.overview.requests.insert(id, part);
        }
        if let Some((vital, page)) = vital_of(name, kind, labels) {
            let place = *self.pages.entry(page).or_insert(self.views.len());
            if place == self.views.len() {
                self.views.push(0);
            }
            self.views[place] += if vital == Vital::Lcp { count } else { 0 };
            self.vitals.push((id, vital, place));
        }
        self.by_metric.entry((name.to_owned(), kind)).or_default().add(count, sum);
    }

    /// All that the totals tell.
    pub(crate) fn finish(self) -> Overview {
        let Self { mut overview, by_metric, vitals, pages, views, .. } = self;
        let mut pages: Vec<(String, usize)> = pages.into_iter().collect();
        // Equal ones stay in the order of their names, here and below.
        pages.sort_by_key(|(_, place)| std::cmp::Reverse(views[*place]));
        pages.truncate(PAGES_MAX);
        let mut ranks = vec![pages.len(); views.len()];
        for (rank, (_, place)) in pages.iter().enumerate() {
            ranks[*place] = rank;
        }
        overview.vitals = vitals.into_iter().map(|(id, vital, place)| (id, (vital, ranks[place]))).collect();
        overview.pages = pages.into_iter().map(|(name, place)| Page { name, views: views[place] }).collect();
        let mut names: Vec<&String> = by_metric.keys().map(|(name, _)| name).collect();
        names.dedup();
        overview.distinct_metrics = names.len();
        overview.top = by_metric.into_iter().map(|((name, kind), total)| Top { name, kind, total }).collect();
        overview.top.sort_by_key(|top| std::cmp::Reverse(top.total.count));
        overview.top.truncate(TOP_MAX);
        overview
    }
}

impl Overview {
    /// The series of requests and durations.
    pub(crate) fn wanted_for_requests(&self) -> Wanted {
        let kind = |part: &RequestPart| if *part == RequestPart::Durations { Type::Histogram } else { Type::Counter };
        self.requests.iter().map(|(id, part)| (*id, kind(part))).collect()
    }

    /// The series of Web Vitals.
    pub(crate) fn wanted_for_vitals(&self) -> Wanted {
        self.vitals.keys().map(|id| (*id, Type::Histogram)).collect()
    }
}

fn request_part(name: &str, kind: Type, labels: &str) -> Option<RequestPart> {
    match (name, kind) {
        (REQUESTS, Type::Counter) => {
            let status = label(labels, "status").unwrap_or_default();
            let is_error = status.len() == 3 && status.starts_with('5');
            Some(if is_error { RequestPart::Errors } else { RequestPart::Requests })
        }
        (DURATIONS, Type::Histogram) => Some(RequestPart::Durations),
        _ => None,
    }
}

/// The vital and the page of a series that browsers send.
fn vital_of(name: &str, kind: Type, labels: &str) -> Option<(Vital, String)> {
    let vital = Vital::of_metric(name).filter(|_| kind == Type::Histogram)?;
    let is_from_browser = label(labels, "source")? == "browser";
    is_from_browser.then(|| (vital, label(labels, "page").unwrap_or_else(|| "/".into())))
}

fn label(labels: &str, name: &str) -> Option<String> {
    match serde_json::from_str::<BTreeMap<String, Value>>(labels).ok()?.remove(name)? {
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Requests, those of them that failed, and how long they took.
#[derive(Debug)]
struct Requests {
    all: f64,
    /// Among the requests.
    errors: f64,
    durations: Merged,
}

impl Requests {
    fn new() -> Self {
        Self { all: 0.0, errors: 0.0, durations: Merged::new(Type::Histogram) }
    }

    fn add(&mut self, part: RequestPart, rollup: &Rollup) {
        let requests = if part == RequestPart::Durations { 0.0 } else { rollup.aggregate.sum };
        let errors = if part == RequestPart::Errors { requests } else { 0.0 };
        self.count(requests, errors);
        if part == RequestPart::Durations {
            self.durations.add(&rollup.aggregate, rollup.sketch.as_ref());
        }
    }

    fn count(&mut self, all: f64, errors: f64) {
        self.all = (self.all + all).clamp(f64::MIN, f64::MAX);
        self.errors = (self.errors + errors).clamp(f64::MIN, f64::MAX);
    }

    fn merge(&mut self, other: &Self) {
        self.count(other.all, other.errors);
        self.durations.merge(&other.durations);
    }

    fn figures(&self) -> RequestFigures {
        let percentiles = self.durations.aggregate().and_then(|all| all.percentiles);
        let latency = percentiles.map_or([None; 3], |all| [all.p50, all.p95, all.p99].map(Some));
        RequestFigures { all: self.all, errors: self.errors, latency }
    }
}

/// What requests come to, in a bucket or in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RequestFigures {
    pub(crate) all: f64,
    pub(crate) errors: f64,
    /// p50, p95, p99.
    pub(crate) latency: [Option<f64>; 3],
}

impl RequestFigures {
    /// None without requests.
    pub(crate) fn error_rate(&self) -> Option<f64> {
        (self.all > 0.0).then(|| self.errors / self.all)
    }
}

/// Requests over time. Of a bucket that is over only the figures are kept: its sketch may be large.
pub(crate) struct RequestChart<'o> {
    overview: &'o Overview,
    all: Requests,
    bucket: i64,
    current: Option<Requests>,
    buckets: Vec<(i64, RequestFigures)>,
}

impl<'o> RequestChart<'o> {
    pub(crate) fn new(overview: &'o Overview) -> Self {
        Self { overview, all: Requests::new(), bucket: i64::MIN, current: None, buckets: Vec::new() }
    }

    /// Buckets come ascending. Refuses more than an answer has room for.
    pub(crate) fn add(&mut self, bucket: i64, rollup: &Rollup) -> Result<(), Invalid> {
        let Some(part) = self.overview.requests.get(&rollup.series).copied() else { return Ok(()) };
        if bucket != self.bucket {
            self.flush()?;
            self.bucket = bucket;
        }
        self.current.get_or_insert_with(Requests::new).add(part, rollup);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Invalid> {
        let Some(current) = self.current.take() else { return Ok(()) };
        self.buckets.push((self.bucket, current.figures()));
        self.all.merge(&current);
        check_length(self.buckets.len())
    }

    /// All buckets together, and the first second and the figures of each.
    pub(crate) fn finish(mut self) -> Result<(RequestFigures, Vec<(i64, RequestFigures)>), Invalid> {
        self.flush()?;
        Ok((self.all.figures(), self.buckets))
    }
}

fn check_length(buckets: usize) -> Result<(), Invalid> {
    if buckets as i64 <= ROWS_MAX {
        return Ok(());
    }
    Err(Invalid::new(format!("expected a dashboard of at most {ROWS_MAX} buckets, this has more"))
        .because("ask for a shorter period or a coarser resolution"))
}

/// Average, 75th percentile and number of a vital's values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct VitalFigures {
    pub(crate) avg: Option<f64>,
    pub(crate) p75: Option<f64>,
    pub(crate) count: u64,
}

impl From<&Merged> for VitalFigures {
    fn from(merged: &Merged) -> Self {
        let avg = merged.aggregate().map(|all| all.avg());
        Self { avg, p75: merged.percentile(75), count: merged.count() }
    }
}

/// One value per vital, in the order of [`Vital::ALL`].
pub(crate) type PerVital = [VitalFigures; Vital::ALL.len()];

/// What Web Vitals come to.
pub(crate) struct Vitals<'o> {
    pub(crate) all: PerVital,
    /// The first second of each bucket and its figures.
    pub(crate) buckets: Vec<(i64, PerVital)>,
    /// Pages with their views, the most views first.
    pub(crate) pages: Vec<(&'o str, u64, PerVital)>,
}

type MergedVitals = [Merged; Vital::ALL.len()];

/// Web Vitals in all, over time, and by page.
pub(crate) struct VitalChart<'o> {
    overview: &'o Overview,
    all: MergedVitals,
    pages: Vec<MergedVitals>,
    bucket: i64,
    current: MergedVitals,
    /// The first second of each bucket and its figures.
    buckets: Vec<(i64, PerVital)>,
}

impl<'o> VitalChart<'o> {
    pub(crate) fn new(overview: &'o Overview) -> Self {
        let pages = overview.pages.iter().map(|_| no_vitals()).collect();
        Self { overview, all: no_vitals(), pages, bucket: i64::MIN, current: no_vitals(), buckets: Vec::new() }
    }

    /// Buckets come ascending. Refuses more than an answer has room for.
    pub(crate) fn add(&mut self, bucket: i64, rollup: &Rollup) -> Result<(), Invalid> {
        let Some((vital, page)) = self.overview.vitals.get(&rollup.series).copied() else { return Ok(()) };
        if bucket != self.bucket {
            self.flush()?;
            self.bucket = bucket;
        }
        for all in [Some(&mut self.current), self.pages.get_mut(page)].into_iter().flatten() {
            all[vital as usize].add(&rollup.aggregate, rollup.sketch.as_ref());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Invalid> {
        let figures = figures(&self.current);
        if figures.iter().any(|figures| figures.count > 0) {
            self.buckets.push((self.bucket, figures));
            let current = std::mem::replace(&mut self.current, no_vitals());
            self.all.iter_mut().zip(&current).for_each(|(all, bucket)| all.merge(bucket));
        }
        check_length(self.buckets.len())
    }

    /// All figures.
    pub(crate) fn finish(mut self) -> Result<Vitals<'o>, Invalid> {
        self.flush()?;
        let pages = self.overview.pages.iter().zip(&self.pages);
        let pages = pages.map(|(page, merged)| (page.name.as_str(), page.views, figures(merged)));
        Ok(Vitals { all: figures(&self.all), pages: pages.collect(), buckets: self.buckets })
    }
}

fn no_vitals() -> MergedVitals {
    std::array::from_fn(|_| Merged::new(Type::Histogram))
}

fn figures(merged: &MergedVitals) -> PerVital {
    std::array::from_fn(|vital| VitalFigures::from(&merged[vital]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::exactly;

    const fn named<'a>(id: SeriesId, name: &'a str, kind: Type, labels: &'a str) -> Named<'a> {
        Named { id, name, kind, labels }
    }

    fn overview<'a>(series: impl IntoIterator<Item = Named<'a>>, totals: &Totals) -> Overview {
        let mut looking = Looking::new(totals);
        series.into_iter().for_each(|series| looking.add(series));
        looking.finish()
    }

    fn rollup(series: SeriesId, kind: Type, values: &[f64]) -> Rollup {
        let (aggregate, sketch) = exactly(kind, values.len() as u64, values.iter().copied()).expect("values");
        Rollup { series, aggregate, sketch }
    }

    fn totals(counts: &[(SeriesId, u64, f64)]) -> Totals {
        counts.iter().map(|(id, count, sum)| (*id, Total { count: *count, sum: *sum })).collect()
    }

    #[test]
    fn totals_tell_the_metrics_with_the_most_values() {
        let series = [
            named(1, "b", Type::Counter, "{}"),
            named(2, "b", Type::Counter, r#"{"x":1}"#),
            named(3, "a", Type::Gauge, "{}"),
            named(4, "a", Type::Counter, "{}"),
            named(5, "silent", Type::Counter, "{}"),
        ];
        let overview = overview(series, &totals(&[(1, 2, 5.0), (2, 1, 1.0), (3, 1, 7.0), (4, 1, 1.0)]));
        assert_eq!((overview.datapoints, overview.distinct_metrics), (5, 2));
        let top: Vec<_> =
            overview.top.iter().map(|top| (top.name.as_str(), top.kind, top.total.count, top.total.sum)).collect();
        assert_eq!(top, [("b", Type::Counter, 3, 6.0), ("a", Type::Counter, 1, 1.0), ("a", Type::Gauge, 1, 7.0)]);
    }

    #[test]
    fn requests_have_a_rate_of_errors_and_a_latency() {
        let series = [
            named(1, REQUESTS, Type::Counter, r#"{"status":"200"}"#),
            named(2, REQUESTS, Type::Counter, r#"{"status":503}"#),
            named(3, DURATIONS, Type::Histogram, "{}"),
            named(4, REQUESTS, Type::Gauge, "{}"),
        ];
        let overview = overview(series, &totals(&[(1, 1, 1.0), (2, 1, 1.0), (3, 1, 1.0), (4, 1, 1.0)]));
        assert_eq!(overview.wanted_for_requests().len(), 3);
        let mut chart = RequestChart::new(&overview);
        for (bucket, series, kind, values) in [
            (0, 1, Type::Counter, &[3.0][..]),
            (0, 2, Type::Counter, &[1.0]),
            (60, 1, Type::Counter, &[4.0]),
            (60, 3, Type::Histogram, &[0.1, 0.2, 0.3]),
        ] {
            chart.add(bucket, &rollup(series, kind, values)).expect("not too long");
        }
        let (all, buckets) = chart.finish().expect("not too long");
        assert_eq!((all.error_rate(), all.latency), (Some(0.125), [Some(0.2), Some(0.3), Some(0.3)]));
        let seen: Vec<_> = buckets.iter().map(|(second, figures)| (*second, figures.error_rate())).collect();
        assert_eq!(seen, [(0, Some(0.25)), (60, Some(0.0))]);
        assert_eq!((buckets[0].1.latency, buckets[1].1.latency), ([None; 3], all.latency));
    }

    #[test]
    fn vitals_are_those_of_browsers_by_time_and_page() {
        let page = r#"{"page":"/a","source":"browser"}"#;
        let series = [
            named(1, "web_vitals_lcp", Type::Histogram, page),
            named(2, "web_vitals_lcp", Type::Histogram, r#"{"source":"browser"}"#),
            named(3, "web_vitals_cls", Type::Histogram, page),
            named(4, "web_vitals_lcp", Type::Histogram, r#"{"page":"/a"}"#),
        ];
        let overview = overview(series, &totals(&[(1, 2, 0.0), (2, 3, 0.0), (3, 1, 0.0), (4, 9, 0.0)]));
        assert_eq!(overview.wanted_for_vitals().len(), 3);
        let mut chart = VitalChart::new(&overview);
        chart.add(0, &rollup(1, Type::Histogram, &[1000.0, 2000.0])).expect("not too long");
        chart.add(0, &rollup(3, Type::Histogram, &[0.0])).expect("not too long");
        chart.add(60, &rollup(2, Type::Histogram, &[3000.0, 3000.0, 3000.0])).expect("not too long");
        let Vitals { all, buckets, pages } = chart.finish().expect("not too long");
        assert_eq!((all[0].count, all[0].avg, all[1].count, all[2].avg), (5, Some(2400.0), 0, Some(0.0)));
        assert!(all[0].p75.is_some_and(|p75| (p75 - 3000.0).abs() < 30.0));
        assert_eq!(
            buckets.iter().map(|(bucket, vitals)| (*bucket, vitals[0].count)).collect::<Vec<_>>(),
            [(0, 2), (60, 3)]
        );
        let pages: Vec<_> = pages.iter().map(|(name, views, vitals)| (*name, *views, vitals[2].count)).collect();
        assert_eq!(pages, [("/", 3, 0), ("/a", 2, 1)]);
    }

    #[test]
    fn pages_beyond_the_first_count_in_all_only() {
        let name = |id: SeriesId| format!(r#"{{"page":"/{id:02}","source":"browser"}}"#);
        let labels: Vec<String> = (1..=25).map(name).collect();
        let series = (1..).zip(&labels).map(|(id, labels)| named(id, "web_vitals_lcp", Type::Histogram, labels));
        let counts: Vec<_> = (1..=25).map(|id| (id, id as u64, 0.0)).collect();
        let overview = overview(series, &totals(&counts));
        let mut chart = VitalChart::new(&overview);
        for id in 1..=25 {
            chart.add(0, &rollup(id, Type::Histogram, &[1.0])).expect("not too long");
        }
        let Vitals { all, pages, .. } = chart.finish().expect("not too long");
        assert_eq!((all[0].count, pages.len(), pages[0].0, pages[19].0), (25, 20, "/25", "/06"));
    }

    #[test]
    fn what_gets_too_long_is_refused() {
        let series = [
            named(1, "web_vitals_lcp", Type::Histogram, r#"{"source":"browser"}"#),
            named(2, REQUESTS, Type::Counter, "{}"),
        ];
        let overview = overview(series, &totals(&[(1, 1, 0.0), (2, 1, 0.0)]));
        let (mut vitals, mut requests) = (VitalChart::new(&overview), RequestChart::new(&overview));
        let (vital, request) = (rollup(1, Type::Histogram, &[1.0]), rollup(2, Type::Counter, &[1.0]));
        for bucket in 0..ROWS_MAX {
            vitals.add(bucket, &vital).and(requests.add(bucket, &request)).expect("not too long");
        }
        let refused = [
            vitals.add(ROWS_MAX, &vital).and_then(|()| vitals.finish().map(|_| ())),
            requests.add(ROWS_MAX, &request).and_then(|()| requests.finish().map(|_| ())),
        ];
        for refused in refused {
            let detail = refused.expect_err("too long").detail;
            assert_eq!(detail, "expected a dashboard of at most 10080 buckets, this has more");
        }
    }
}
