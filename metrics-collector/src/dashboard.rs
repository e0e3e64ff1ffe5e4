//! What a dashboard shows of all metrics: totals, requests and their latency, Web Vitals. Rollups go in, figures come out.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use serde_json::Value;

use crate::aggregate::Merged;
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

impl Overview {
    /// Series without values in the period do not count.
    pub(crate) fn new(series: impl IntoIterator<Item = Named>, totals: &Totals) -> Self {
        let mut overview = Self::default();
        let mut by_metric: BTreeMap<(String, Type), Total> = BTreeMap::new();
        let mut vitals = Vec::new();
        for Named { id, name, kind, labels } in series {
            let Some(Total { count, sum }) = totals.get(&id).copied() else { continue };
            overview.datapoints = overview.datapoints.saturating_add(count);
            if let Some(part) = request_part(&name, kind, &labels) {
                overview.requests.insert(id, part);
            }
            if let Some((vital, page)) = vital_of(&name, kind, &labels) {
                vitals.push((id, vital, page, count));
            }
            by_metric.entry((name, kind)).or_default().add(count, sum);
        }
        overview.rank_pages(&vitals);
        let mut names: Vec<&String> = by_metric.keys().map(|(name, _)| name).collect();
        names.dedup();
        overview.distinct_metrics = names.len();
        overview.top = by_metric.into_iter().map(|((name, kind), total)| Top { name, kind, total }).collect();
        // Equal ones stay in the order of their names.
        overview.top.sort_by_key(|top| std::cmp::Reverse(top.total.count));
        overview.top.truncate(TOP_MAX);
        overview
    }

    fn rank_pages(&mut self, vitals: &[(SeriesId, Vital, String, u64)]) {
        let mut views: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, vital, page, count) in vitals {
            *views.entry(page).or_default() += if *vital == Vital::Lcp { *count } else { 0 };
        }
        let mut pages: Vec<Page> = views.into_iter().map(|(name, views)| Page { name: name.into(), views }).collect();
        pages.sort_by_key(|page| std::cmp::Reverse(page.views));
        pages.truncate(PAGES_MAX);
        let place = |name: &str| pages.iter().position(|page| page.name == name).unwrap_or(pages.len());
        self.vitals = vitals.iter().map(|(id, vital, page, _)| (*id, (*vital, place(page)))).collect();
        self.pages = pages;
    }

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

/// A bucket of the chart of requests, or all of them together.
#[derive(Debug)]
pub(crate) struct Requests {
    /// The first second.
    pub(crate) bucket: i64,
    pub(crate) all: f64,
    /// Among the requests.
    pub(crate) errors: f64,
    pub(crate) durations: Merged,
}

impl Requests {
    fn new(bucket: i64) -> Self {
        Self { bucket, all: 0.0, errors: 0.0, durations: Merged::new(Type::Histogram) }
    }

    fn add(&mut self, part: RequestPart, rollup: &Rollup) {
        let sum = rollup.aggregate.sum;
        match part {
            RequestPart::Requests => self.all += sum,
            RequestPart::Errors => {
                self.all += sum;
                self.errors += sum;
            }
            RequestPart::Durations => self.durations.add(&rollup.aggregate, rollup.sketch.as_ref()),
        }
    }

    /// None without requests.
    pub(crate) fn error_rate(&self) -> Option<f64> {
        (self.all > 0.0).then(|| self.errors / self.all)
    }
}

/// Requests over time.
pub(crate) struct RequestChart<'o> {
    overview: &'o Overview,
    pub(crate) buckets: Vec<Requests>,
}

impl<'o> RequestChart<'o> {
    pub(crate) fn new(overview: &'o Overview) -> Self {
        Self { overview, buckets: Vec::new() }
    }

    /// Buckets come ascending.
    pub(crate) fn add(&mut self, bucket: i64, rollup: &Rollup) {
        let Some(part) = self.overview.requests.get(&rollup.series).copied() else { return };
        if self.buckets.last().is_none_or(|last| last.bucket != bucket) {
            self.buckets.push(Requests::new(bucket));
        }
        if let Some(last) = self.buckets.last_mut() {
            last.add(part, rollup);
        }
    }

    /// All buckets together.
    pub(crate) fn all(&self) -> Requests {
        let mut all = Requests::new(0);
        for bucket in &self.buckets {
            all.all += bucket.all;
            all.errors += bucket.errors;
            all.durations.merge(&bucket.durations);
        }
        all
    }
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

    /// Buckets come ascending.
    pub(crate) fn add(&mut self, bucket: i64, rollup: &Rollup) {
        let Some((vital, page)) = self.overview.vitals.get(&rollup.series).copied() else { return };
        if bucket != self.bucket {
            self.flush();
            self.bucket = bucket;
        }
        for all in [Some(&mut self.current), self.pages.get_mut(page)].into_iter().flatten() {
            all[vital as usize].add(&rollup.aggregate, rollup.sketch.as_ref());
        }
    }

    fn flush(&mut self) {
        let figures = figures(&self.current);
        if figures.iter().any(|figures| figures.count > 0) {
            self.buckets.push((self.bucket, figures));
            let current = std::mem::replace(&mut self.current, no_vitals());
            self.all.iter_mut().zip(&current).for_each(|(all, bucket)| all.merge(bucket));
        }
    }

    /// All figures.
    pub(crate) fn finish(mut self) -> Vitals<'o> {
        self.flush();
        let pages = self.overview.pages.iter().zip(&self.pages);
        let pages = pages.map(|(page, merged)| (page.name.as_str(), page.views, figures(merged)));
        Vitals { all: figures(&self.all), pages: pages.collect(), buckets: self.buckets }
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

    fn named(id: SeriesId, name: &str, kind: Type, labels: &str) -> Named {
        Named { id, name: name.into(), kind, labels: labels.into() }
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
        let overview = Overview::new(series, &totals(&[(1, 2, 5.0), (2, 1, 1.0), (3, 1, 7.0), (4, 1, 1.0)]));
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
        let overview = Overview::new(series, &totals(&[(1, 1, 1.0), (2, 1, 1.0), (3, 1, 1.0), (4, 1, 1.0)]));
        assert_eq!(overview.wanted_for_requests().len(), 3);
        let mut chart = RequestChart::new(&overview);
        for (bucket, series, kind, values) in [
            (0, 1, Type::Counter, &[3.0][..]),
            (0, 2, Type::Counter, &[1.0]),
            (60, 1, Type::Counter, &[4.0]),
            (60, 3, Type::Histogram, &[0.1, 0.2, 0.3]),
        ] {
            chart.add(bucket, &rollup(series, kind, values));
        }
        assert_eq!(chart.all().error_rate(), Some(0.125));
        assert_eq!(chart.buckets.iter().map(Requests::error_rate).collect::<Vec<_>>(), [Some(0.25), Some(0.0)]);
        assert_eq!((chart.buckets[0].durations.count(), chart.buckets[1].durations.count()), (0, 3));
    }

    #[test]
    fn vitals_are_those_of_browsers_by_time_and_page() {
        let page = |page: &str| format!(r#"{{"page":"{page}","source":"browser"}}"#);
        let series = [
            named(1, "web_vitals_lcp", Type::Histogram, &page("/a")),
            named(2, "web_vitals_lcp", Type::Histogram, r#"{"source":"browser"}"#),
            named(3, "web_vitals_cls", Type::Histogram, &page("/a")),
            named(4, "web_vitals_lcp", Type::Histogram, r#"{"page":"/a"}"#),
        ];
        let overview = Overview::new(series, &totals(&[(1, 2, 0.0), (2, 3, 0.0), (3, 1, 0.0), (4, 9, 0.0)]));
        assert_eq!(overview.wanted_for_vitals().len(), 3);
        let mut chart = VitalChart::new(&overview);
        chart.add(0, &rollup(1, Type::Histogram, &[1000.0, 2000.0]));
        chart.add(0, &rollup(3, Type::Histogram, &[0.0]));
        chart.add(60, &rollup(2, Type::Histogram, &[3000.0, 3000.0, 3000.0]));
        let Vitals { all, buckets, pages } = chart.finish();
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
        let series = (1..=25).map(|id| named(id, "web_vitals_lcp", Type::Histogram, &name(id)));
        let counts: Vec<_> = (1..=25).map(|id| (id, id as u64, 0.0)).collect();
        let overview = Overview::new(series, &totals(&counts));
        let mut chart = VitalChart::new(&overview);
        (1..=25).for_each(|id| chart.add(0, &rollup(id, Type::Histogram, &[1.0])));
        let Vitals { all, pages, .. } = chart.finish();
        assert_eq!((all[0].count, pages.len(), pages[0].0, pages[19].0), (25, 20, "/25", "/06"));
    }
}
