//! What is answered to a question: which series it is about, and the rows that come out, bucket by bucket.

use std::collections::BTreeMap;

use common::clock::Timestamp;
use common::json::Invalid;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::aggregate::{Aggregate, Merged};
use crate::question::{Agg, Question};
use crate::series::{SeriesId, Type};
use crate::store::lists::Named;
use crate::store::rollups::Rollup;
use crate::window::{Resolution, Window};

/// Rows of one answer: some 1.6 MB. A week of minutes of one series has as many.
pub(crate) const ROWS_MAX: i64 = 10_080;
/// Bytes of one answer: labels may be long.
const BYTES_MAX: usize = 4 << 20;

/// The series of a question, and which of them become one.
pub(crate) struct Plan<'q> {
    question: &'q Question,
    groups: Vec<Group>,
    /// Groups of several series, in the order of their labels.
    merged: BTreeMap<(Type, String), Vec<SeriesId>>,
    label_bytes: usize,
    /// By series: its type and its place among the groups.
    members: BTreeMap<SeriesId, (Type, usize)>,
}

struct Group {
    kind: Type,
    /// A JSON object.
    labels: Box<RawValue>,
}

impl<'q> Plan<'q> {
    /// Without series.
    pub(crate) fn new(question: &'q Question) -> Self {
        Self { question, groups: Vec::new(), merged: BTreeMap::new(), label_bytes: 0, members: BTreeMap::new() }
    }

    /// Adds a series, if it is asked for. Refuses a figure that a type of the metric does not have, and more series than an
    /// answer has room for.
    pub(crate) fn add(&mut self, Named { id, kind, labels, .. }: Named<'_>) -> Result<(), Invalid> {
        let Some(group) = self.question.group_of(labels) else { return Ok(()) };
        if let Some(agg) = self.question.agg {
            agg.check(kind)?;
        }
        if !self.question.merges() {
            self.note(labels)?;
            self.add_group(kind, labels, [id]);
            return Ok(());
        }
        let group = (kind, group);
        if let Some(series) = self.merged.get_mut(&group) {
            series.push(id);
            return Ok(());
        }
        self.note(&group.1)?;
        self.merged.insert(group, vec![id]);
        Ok(())
    }

    fn note(&mut self, labels: &str) -> Result<(), Invalid> {
        self.label_bytes += labels.len();
        if self.groups.len() + self.merged.len() >= ROWS_MAX as usize {
            return Err(too_long(&format!("{ROWS_MAX} rows, this has more series")));
        }
        if self.label_bytes > BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }

    /// Groups are answered in the order of their labels, others in that of their ids.
    pub(crate) fn finish(mut self) -> Self {
        for ((kind, labels), ids) in std::mem::take(&mut self.merged) {
            self.add_group(kind, &labels, ids);
        }
        self
    }

    fn add_group(&mut self, kind: Type, labels: &str, series: impl IntoIterator<Item = SeriesId>) {
        // What is stored was written by us; something else is shown as no labels.
        let labels = RawValue::from_string(labels.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        let place = self.groups.len();
        self.groups.push(Group { kind, labels });
        self.members.extend(series.into_iter().map(|id| (id, (kind, place))));
    }

    /// The series to read.
    pub(crate) fn wanted(&self) -> BTreeMap<SeriesId, Type> {
        self.members.iter().map(|(id, (kind, _))| (*id, *kind)).collect()
    }

    /// Whether merging takes sketches.
    pub(crate) fn needs_sketches(&self) -> bool {
        self.question.merges() && self.question.agg.is_none_or(Agg::needs_sketches)
    }

    /// The window to answer for: in hours where there would be too many minutes, unless minutes are asked for.
    pub(crate) fn fit(&self, window: Window, is_free: bool) -> Result<Window, Invalid> {
        let rows = |window: &Window| window.seconds() / window.resolution.seconds() * self.groups.len() as i64;
        if rows(&window) <= ROWS_MAX {
            return Ok(window);
        }
        let hours = window.with_resolution(Resolution::Hour);
        if is_free && rows(&hours) <= ROWS_MAX {
            return Ok(hours);
        }
        Err(too_long(&format!("{ROWS_MAX} rows, this has up to {}", rows(&window))))
    }
}

fn too_long(than: &str) -> Invalid {
    Invalid::new(format!("expected an answer of at most {than}"))
        .because("ask for a shorter period, a coarser resolution, fewer labels, or for agg or group_by")
}

fn too_large() -> Invalid {
    too_long(&format!("{} MB, this is longer", BYTES_MAX >> 20))
}

/// Rows in the making: rollups go in by bucket, rows come out.
pub(crate) struct Rows<'p> {
    plan: &'p Plan<'p>,
    resolution: Resolution,
    /// What of the newest bucket is over.
    now: i64,
    bucket: i64,
    merged: BTreeMap<usize, Merged>,
    /// An array in a JSON object, both not closed yet.
    json: Vec<u8>,
}

impl<'p> Rows<'p> {
    /// The rows come behind these members, as their `data`.
    pub(crate) fn new(plan: &'p Plan<'p>, members: &impl Serialize, resolution: Resolution, now: Timestamp) -> Self {
        let now = now.millis().div_euclid(1000);
        // Our own types always serialise.
        let mut json = serde_json::to_vec(members).unwrap_or_default();
        json.pop();
        json.extend_from_slice(b",\"data\":[");
        Self { plan, resolution, now, bucket: i64::MIN, merged: BTreeMap::new(), json }
    }

    /// Buckets come ascending. Refuses what gets too long.
    pub(crate) fn add(&mut self, bucket: i64, rollup: &Rollup) -> Result<(), Invalid> {
        let Some((kind, place)) = self.plan.members.get(&rollup.series).copied() else { return Ok(()) };
        if !self.plan.question.merges() {
            return self.write(bucket, place, &rollup.aggregate);
        }
        if bucket != self.bucket {
            self.flush()?;
            self.bucket = bucket;
        }
        let merged = self.merged.entry(place).or_insert_with(|| Merged::new(kind));
        merged.add(&rollup.aggregate, rollup.sketch.as_ref());
        Ok(())
    }

    /// The whole object.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Invalid> {
        self.flush()?;
        self.json.extend_from_slice(b"]}");
        Ok(self.json)
    }

    fn flush(&mut self) -> Result<(), Invalid> {
        for (place, merged) in std::mem::take(&mut self.merged) {
            if let Some(aggregate) = merged.aggregate() {
                self.write(self.bucket, place, &aggregate)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, bucket: i64, place: usize, aggregate: &Aggregate) -> Result<(), Invalid> {
        let group = &self.plan.groups[place];
        let at = Timestamp::from_millis(bucket * 1000).to_string();
        let figures = match self.plan.question.agg {
            None => Figures::All(All::from(aggregate)),
            Some(agg) => {
                let seconds = self.resolution.seconds().min(self.now - bucket);
                Figures::One { value: agg.of(group.kind, aggregate, seconds) }
            }
        };
        let row = Row { bucket: &at, r#type: group.kind.name(), labels: &group.labels, figures };
        if self.json.last() != Some(&b'[') {
            self.json.push(b',');
        }
        // Writing to a Vec cannot fail, and our own types always serialise.
        let _ = serde_json::to_writer(&mut self.json, &row);
        if self.json.len() > BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    bucket: &'a str,
    r#type: &'static str,
    labels: &'a RawValue,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Figures {
    All(All),
    One { value: Option<f64> },
}

/// The figures of the contract.
#[derive(Serialize)]
struct All {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    avg: f64,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl From<&Aggregate> for All {
    fn from(aggregate: &Aggregate) -> Self {
        let Aggregate { count, sum, min, max, percentiles } = *aggregate;
        let [p50, p95, p99] = percentiles.map_or([None; 3], |all| [all.p50, all.p95, all.p99].map(Some));
        Self { count, sum, min, max, avg: aggregate.avg(), p50, p95, p99 }
    }
}

#[cfg(test)]
mod tests {
    use common::query::Query;
    use serde_json::{Value, json};

    use super::*;
    use crate::aggregate::exactly;

    fn answer(query: &str, series: &[(Type, &str)], values: &[(i64, SeriesId, &[f64])]) -> Value {
        let question = ask(query);
        let plan = plan(&question, series).expect("a plan");
        let mut rows = Rows::new(&plan, &json!({"name": "a"}), Resolution::Minute, Timestamp::from_millis(90_000));
        for (bucket, series, values) in values {
            let Some((kind, _)) = plan.members.get(series) else { continue };
            let (aggregate, sketch) = exactly(*kind, values.len() as u64, values.iter().copied()).expect("values");
            rows.add(*bucket, &Rollup { series: *series, aggregate, sketch }).expect("not too long");
        }
        let mut object: Value = serde_json::from_slice(&rows.finish().expect("not too long")).expect("JSON");
        assert_eq!(object["name"], "a");
        object["data"].take()
    }

    fn ask(query: &str) -> Question {
        Question::parse(&Query::parse(query).expect("a query")).expect("a question")
    }

    fn plan<'q>(question: &'q Question, series: &[(Type, &str)]) -> Result<Plan<'q>, Invalid> {
        let mut plan = Plan::new(question);
        for (id, (kind, labels)) in (1..).zip(series) {
            plan.add(Named { id, name: "a", kind: *kind, labels })?;
        }
        Ok(plan.finish())
    }

    const SERIES: [(Type, &str); 3] = [
        (Type::Histogram, r#"{"m":"GET","s":200}"#),
        (Type::Histogram, r#"{"m":"GET","s":500}"#),
        (Type::Histogram, r#"{"m":"PUT","s":200}"#),
    ];

    #[test]
    fn each_series_has_its_own_rows() {
        let rows = answer("name=a&labels=m:GET", &SERIES, &[(0, 1, &[1.0, 2.0, 3.0]), (0, 3, &[9.0]), (60, 2, &[4.0])]);
        assert_eq!(
            rows,
            json!([
                {"bucket": "1970-01-01T00:00:00Z", "type": "histogram", "labels": {"m": "GET", "s": 200}, "count": 3, "sum": 6.0,
                 "min": 1.0, "max": 3.0, "avg": 2.0, "p50": 2.0, "p95": 3.0, "p99": 3.0},
                {"bucket": "1970-01-01T00:01:00Z", "type": "histogram", "labels": {"m": "GET", "s": 500}, "count": 1, "sum": 4.0,
                 "min": 4.0, "max": 4.0, "avg": 4.0, "p50": 4.0, "p95": 4.0, "p99": 4.0}
            ])
        );
    }

    #[test]
    fn groups_are_merged() {
        let values: [(i64, SeriesId, &[f64]); 4] =
            [(0, 1, &[1.0, 2.0]), (0, 2, &[3.0]), (0, 3, &[5.0]), (60, 1, &[7.0])];
        let rows = answer("name=a&group_by=m&agg=max", &SERIES, &values);
        let row = |bucket: &str, m: &str, value: f64| json!({"bucket": format!("1970-01-01T00:0{bucket}:00Z"), "type": "histogram", "labels": {"m": m}, "value": value});
        assert_eq!(rows, json!([row("0", "GET", 3.0), row("0", "PUT", 5.0), row("1", "GET", 7.0)]));
        let rows = answer("name=a&group_by=m", &SERIES, &values);
        assert_eq!((&rows[0]["count"], &rows[0]["avg"], &rows[1]["count"]), (&json!(3), &json!(2.0), &json!(1)));
        // One value a second in the minute that is over, two in half a minute of the one that is not.
        let counter = [(Type::Counter, "{}")];
        let rows = answer("name=a&agg=rate", &counter, &[(0, 1, &[60.0]), (60, 1, &[60.0])]);
        assert_eq!((&rows[0]["value"], &rows[1]["value"]), (&json!(1.0), &json!(2.0)));
    }

    #[test]
    fn types_of_one_name_are_kept_apart() {
        let series = [(Type::Counter, "{}"), (Type::Gauge, "{}")];
        let rows = answer("name=a&agg=sum", &series, &[(0, 1, &[1.0]), (0, 2, &[2.0])]);
        assert_eq!((&rows[0]["type"], &rows[1]["type"]), (&json!("counter"), &json!("gauge")));
        assert!(plan(&ask("name=a&agg=p95"), &[(Type::Gauge, "{}")]).is_err());
    }

    #[test]
    fn what_gets_too_long_is_refused_before_it_is_held() {
        let refused = |query: &str, series: usize, label: usize| {
            let labels: Vec<String> =
                (0..series).map(|n| json!({"x": format!("{n:0label$}"), "y": 1}).to_string()).collect();
            let series: Vec<(Type, &str)> = labels.iter().map(|labels| (Type::Gauge, labels.as_str())).collect();
            plan(&ask(query), &series).err().map(|invalid| invalid.detail)
        };
        let rows = Some("expected an answer of at most 10080 rows, this has more series".to_owned());
        let bytes = Some("expected an answer of at most 4 MB, this is longer".to_owned());
        for (query, series, label, expected) in [
            ("name=a", 10_080, 1, None),
            ("name=a", 10_081, 1, rows.clone()),
            ("name=a&group_by=x", 10_081, 1, rows),
            ("name=a&group_by=y", 10_081, 1, None),
            ("name=a", 5000, 1000, bytes.clone()),
            ("name=a&group_by=x", 5000, 1000, bytes.clone()),
            ("name=a&agg=max", 5000, 1000, None),
        ] {
            assert_eq!(refused(query, series, label), expected, "{query} {series}");
        }
        let (question, long) = (ask("name=a"), json!({"x": "x".repeat(4000)}).to_string());
        let plan = plan(&question, &[(Type::Gauge, &long)]).expect("a plan");
        let mut rows = Rows::new(&plan, &json!({"name": "a"}), Resolution::Minute, Timestamp::from_millis(0));
        let (aggregate, sketch) = exactly(Type::Gauge, 1, std::iter::once(1.0)).expect("a value");
        let rollup = Rollup { series: 1, aggregate, sketch };
        let refused = (0..1100).find_map(|bucket| rows.add(bucket * 60, &rollup).err());
        assert_eq!(refused.map(|invalid| invalid.detail), bytes);
    }
}
