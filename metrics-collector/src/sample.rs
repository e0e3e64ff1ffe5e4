//! What clients send, parsed once: a batch of values, all of them right or none taken.

use std::borrow::Cow;
use std::fmt;

use common::clock::Timestamp;
use common::json::{self, Invalid};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::item::{Element, Field, Labels};
use crate::labels;
use crate::series::{Key, Keyer, Series, Type};

/// The most items of a batch.
pub(crate) const ITEMS_MAX: usize = 1000;
const NAME_BYTES_MAX: usize = 200;
const PROJECT_BYTES_MAX: usize = 100;
/// Numbers below are seconds since 1970, others milliseconds: seconds would be the year 5138, milliseconds 1973.
const SECONDS_BELOW: f64 = 1e11;

/// The times that are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) now: Timestamp,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) key: Key,
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
    /// The labels that are kept with the value only: a compact JSON object, its names sorted.
    pub(crate) dropped: Option<Box<str>>,
}

/// A request's values.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) points: Vec<Point>,
    /// The series that `is_known` did not know, each once, with the first item that has it.
    pub(crate) new: Vec<(Key, Series, usize)>,
}

impl Batch {
    /// Reads a request body, an array of items or an object that has one as `metrics`. Items are counted from 0 in refusals.
    pub(crate) fn parse(
        body: &[u8],
        accepted: Accepted,
        dropped_names: &[String],
        keyer: &Keyer,
        is_known: &dyn Fn(Key) -> bool,
    ) -> Result<Self, Invalid> {
        let text = json::check(body)?;
        let reading = Reading {
            accepted,
            dropped_names,
            keyer,
            is_known,
            batch: Self::default(),
            refusal: None,
            kept: String::new(),
            dropped: String::new(),
        };
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'[') => reading.read(text),
            Some(b'{') => {
                let wrapped: Wrapped<'_> = serde_json::from_str(text).map_err(json::invalid_json)?;
                match wrapped.metrics.filter(|raw| raw.get().starts_with('[')) {
                    Some(items) => reading.read(items.get()),
                    None => Err(Invalid::new("Request body must be a JSON array")),
                }
            }
            _ => {
                serde_json::from_str::<IgnoredAny>(text).map_err(json::invalid_json)?;
                Err(Invalid::new("Request body must be a JSON array"))
            }
        }
    }

    /// About what it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        let dropped: usize = self.points.iter().filter_map(|point| point.dropped.as_deref()).map(str::len).sum();
        let new: usize = self.new.iter().map(|(_, series, _)| size_of_val(series) + series.text_bytes()).sum();
        self.points.len() * size_of::<Point>() + dropped + new
    }
}

/// The form that the shipped smoke test sends.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow, default)]
    metrics: Option<&'a RawValue>,
}

/// A batch on its way in.
struct Reading<'r> {
    accepted: Accepted,
    dropped_names: &'r [String],
    keyer: &'r Keyer,
    is_known: &'r dyn Fn(Key) -> bool,
    batch: Batch,
    /// What is wrong with the first item that is wrong.
    refusal: Option<Invalid>,
    kept: String,
    dropped: String,
}

impl Reading<'_> {
    fn read(mut self, array: &str) -> Result<Batch, Invalid> {
        let mut deserializer = serde_json::Deserializer::from_str(array);
        let count = (&mut self).deserialize(&mut deserializer).map_err(json::invalid_json)?;
        deserializer.end().map_err(json::invalid_json)?;
        if count == 0 {
            return Err(Invalid::new("Metrics array must not be empty"));
        }
        if count > ITEMS_MAX {
            return Err(Invalid::new(format!("Metrics batch exceeds maximum of {ITEMS_MAX} items"))
                .because(format!("it has {count}")));
        }
        self.refusal.map_or(Ok(self.batch), Err)
    }

    fn take(&mut self, number: usize, item: Element<'_>) {
        if self.refusal.is_none()
            && let Err(invalid) = self.take_item(number, item)
        {
            self.refusal = Some(Invalid { detail: format!("{} (item {number})", invalid.detail), ..invalid });
        }
    }

    fn take_item(&mut self, number: usize, item: Element<'_>) -> Result<(), Invalid> {
        let Element::Item(item) = item else { return Err(Invalid::new("Each metric must be a JSON object")) };
        let name = item.name.text().ok_or_else(|| Invalid::new("Missing required field: name"))?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Invalid::new(format!("Field 'name' must be 1-{NAME_BYTES_MAX} characters"))
                .because(format!("it has {} bytes", name.len())));
        }
        let kind = item.kind.text().ok_or_else(|| Invalid::new("Missing required field: type"))?;
        let kind = Type::parse(&kind)
            .ok_or_else(|| Invalid::new("Field 'type' must be 'counter', 'histogram', or 'gauge'"))?;
        let value = item.value.ok_or_else(|| Invalid::new("Missing required field: value"))?;
        let project = project(item.project)?;
        let at = self.time(item.timestamp)?;
        match item.labels {
            Labels::Absent => canonical_none(&mut self.kept, &mut self.dropped),
            Labels::Other => return Err(Invalid::new("Field 'labels' must be a JSON object")),
            Labels::Given(mut given) => {
                labels::canonical(&mut given, self.dropped_names, &mut self.kept, &mut self.dropped)?;
            }
        }
        let key = self.keyer.key(&name, kind, &project, &self.kept);
        if !(self.is_known)(key) && !self.batch.new.iter().any(|(other, ..)| *other == key) {
            let series =
                Series { name: name.into_owned(), kind, project: project.into_owned(), labels: self.kept.clone() };
            self.batch.new.push((key, series, number));
        }
        let dropped = (!self.dropped.is_empty()).then(|| self.dropped.as_str().into());
        self.batch.points.push(Point { key, at, value, dropped });
        Ok(())
    }

    fn time(&self, field: Field<'_>) -> Result<Timestamp, Invalid> {
        let Accepted { now, from, to } = self.accepted;
        let at = match field {
            Field::Absent => return Ok(now),
            Field::Text(text) => Timestamp::parse(&text),
            Field::Number(number) => {
                let millis = if number.abs() < SECONDS_BELOW { number * 1000.0 } else { number };
                Some(Timestamp::from_millis(millis as i64))
            }
            Field::Other => None,
        };
        let at = at.ok_or_else(|| Invalid::new("Field 'timestamp' must be an ISO 8601 time or a number since 1970"))?;
        if at < from || at > to {
            return Err(
                Invalid::new(format!("Field 'timestamp' must be from {from} to {to}")).because(format!("it is {at}"))
            );
        }
        Ok(at)
    }
}

fn canonical_none(kept: &mut String, dropped: &mut String) {
    kept.clear();
    kept.push_str(labels::NONE);
    dropped.clear();
}

/// Text that is too long is refused; other types count as none, as in the original.
fn project(field: Field<'_>) -> Result<Cow<'_, str>, Invalid> {
    match field.text() {
        Some(project) if project.len() > PROJECT_BYTES_MAX => {
            Err(Invalid::new(format!("Field 'project' must be at most {PROJECT_BYTES_MAX} characters"))
                .because(format!("it has {} bytes", project.len())))
        }
        Some(project) => Ok(project),
        None => Ok(Cow::Borrowed("")),
    }
}

/// Reads the array item by item; how many there are.
impl<'de> DeserializeSeed<'de> for &mut Reading<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Reading<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<usize, A::Error> {
        let mut count = 0;
        // Beyond the limit there is nothing to say but how many there are.
        while count < ITEMS_MAX {
            let Some(item) = items.next_element::<Element<'de>>()? else { return Ok(count) };
            self.take(count, item);
            count += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_768_903_200_000);

    fn accepted() -> Accepted {
        let millis = |millis: i64| Timestamp::from_millis(NOW.millis() + millis);
        Accepted { now: NOW, from: millis(-3_600_000), to: millis(600_000) }
    }

    fn parse(body: impl AsRef<[u8]>) -> Result<Batch, String> {
        let names = ["session_id".to_owned()];
        let keyer = Keyer::default();
        Batch::parse(body.as_ref(), accepted(), &names, &keyer, &|_| false).map_err(|invalid| invalid.detail)
    }

    #[track_caller]
    fn refused(body: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(parse(body).expect_err("a refusal"), expected);
    }

    /// A batch whose second item is this.
    fn second(item: &Value) -> String {
        json!([{"name": "a", "type": "gauge", "value": 1}, item]).to_string()
    }

    #[track_caller]
    fn item_refused(item: &Value, expected: &str) {
        refused(second(item), &format!("{expected} (item 1)"));
    }

    #[test]
    fn both_forms_of_a_batch_are_read() {
        let item = json!({"name": "req", "type": "counter", "value": 2.5, "labels": {"b": "2", "a": 1, "session_id": "s"},
            "timestamp": "2026-01-20T09:59:59.123+00:00", "project": "shop", "unknown": [{}]});
        let batch = parse(json!([item]).to_string()).expect("a batch");
        let point = &batch.points[0];
        assert_eq!((point.at.millis(), point.value), (NOW.millis() - 877, 2.5));
        assert_eq!(point.dropped.as_deref(), Some(r#"{"session_id":"s"}"#));
        let series = Series {
            name: "req".into(),
            kind: Type::Counter,
            project: "shop".into(),
            labels: r#"{"a":1,"b":"2"}"#.into(),
        };
        assert_eq!(batch.new, [(point.key, series, 0)]);
        let wrapped = parse(json!({"metrics": [item, item], "more": 1}).to_string()).expect("a batch");
        assert_eq!((wrapped.points.len(), wrapped.new.len()), (2, 1));
    }

    #[test]
    fn what_is_no_batch_is_named() {
        for body in ["", " ", "{", "[1", "[] x", "[{\"name\":1,\"name\":2}]", "\u{feff}[]"] {
            refused(body, "Invalid JSON");
        }
        refused(b"\xff", "Invalid JSON");
        refused(format!("{}1{}", "[".repeat(200), "]".repeat(200)), "Invalid JSON");
        for body in ["1", "\"x\"", "null", "{}", r#"{"metrics":{}}"#, r#"{"metrics":null}"#] {
            refused(body, "Request body must be a JSON array");
        }
        refused("[]", "Metrics array must not be empty");
        refused(r#"{"metrics":[]}"#, "Metrics array must not be empty");
        let item = json!({"name": "a", "type": "gauge", "value": 1});
        refused(json!(vec![&item; 1001]).to_string(), "Metrics batch exceeds maximum of 1000 items");
        assert_eq!(parse(json!(vec![&item; 1000]).to_string()).expect("a batch").points.len(), 1000);
    }

    #[test]
    fn the_first_item_that_is_wrong_is_named() {
        for item in [json!(1), json!([]), json!(null), json!("x"), json!(true)] {
            item_refused(&item, "Each metric must be a JSON object");
        }
        item_refused(&json!({}), "Missing required field: name");
        item_refused(&json!({"name": 1}), "Missing required field: name");
        item_refused(&json!({"name": ""}), "Field 'name' must be 1-200 characters");
        item_refused(&json!({"name": "x".repeat(201)}), "Field 'name' must be 1-200 characters");
        item_refused(&json!({"name": "a"}), "Missing required field: type");
        let wrong = "Field 'type' must be 'counter', 'histogram', or 'gauge'";
        item_refused(&json!({"name": "a", "type": "x"}), wrong);
        for value in [json!(null), json!("1"), json!(true), json!([1])] {
            item_refused(&json!({"name": "a", "type": "gauge", "value": value}), "Missing required field: value");
        }
        for value in ["1e999", "-1e999"] {
            refused(
                format!(r#"[{{"name":"a","type":"gauge","value":{value}}}]"#),
                "Missing required field: value (item 0)",
            );
        }
        refused(r#"[{"name":"a","type":"gauge","value":NaN}]"#, "Invalid JSON");
        let with = |name: &str, value: Value| json!({"name": "a", "type": "gauge", "value": 1, name: value});
        item_refused(&with("labels", json!([1])), "Field 'labels' must be a JSON object");
        item_refused(
            &with("labels", json!({"a": {}})),
            "Field 'labels': 'a' must be text, a number, true, false or null",
        );
        item_refused(&with("project", json!("p".repeat(101))), "Field 'project' must be at most 100 characters");
        let form = "Field 'timestamp' must be an ISO 8601 time or a number since 1970";
        for value in [json!("garbage"), json!(true), json!([])] {
            item_refused(&with("timestamp", value), form);
        }
        let window = "Field 'timestamp' must be from 2026-01-20T09:00:00Z to 2026-01-20T10:10:00Z";
        for value in
            [json!("2026-01-20T08:59:59Z"), json!("2026-01-20T10:10:01Z"), json!(0), json!(1e300), json!(-1e300)]
        {
            item_refused(&with("timestamp", value), window);
        }
        // The first one counts.
        refused(json!([{"name": "a"}, {}]).to_string(), "Missing required field: type (item 0)");
    }

    #[test]
    fn times_are_text_or_numbers() {
        let at = |value: Value| {
            let item = json!({"name": "a", "type": "gauge", "value": 1, "timestamp": value});
            parse(json!([item]).to_string()).expect("a batch").points[0].at.millis() - NOW.millis()
        };
        assert_eq!(at(json!(null)), 0);
        assert_eq!(at(json!(1_768_903_199)), -1000);
        assert_eq!(at(json!(1_768_903_199.5)), -500);
        assert_eq!(at(json!(1_768_903_199_999_i64)), -1);
        assert_eq!(at(json!("2026-01-20T11:00:00+01:00")), 0);
        assert_eq!(at(json!("2026-01-20T09:00:00Z")), -3_600_000);
    }

    #[test]
    fn projects_and_labels_that_are_null_are_absent() {
        let item = json!({"name": "a", "type": "gauge", "value": 1, "project": null, "labels": null});
        let batch = parse(json!([item]).to_string()).expect("a batch");
        assert_eq!((batch.new[0].1.project.as_str(), batch.new[0].1.labels.as_str()), ("", "{}"));
        let item = json!({"name": "a", "type": "gauge", "value": 1, "project": 5, "labels": {"x": null}});
        assert_eq!(parse(json!([item]).to_string()).expect("a batch").new[0].1.labels, "{}");
    }
}
