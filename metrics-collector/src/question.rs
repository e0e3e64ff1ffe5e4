//! What is asked of a metric: its name, which of its series, and what to make of them.

use std::collections::BTreeMap;

use common::json::Invalid;
use common::query::Query;
use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::series::Type;

/// Labels to filter or group by.
const LABELS_MAX: usize = 32;

/// The parameters of `GET /api/metrics` besides the window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) project: Option<String>,
    pub(crate) kind: Option<Type>,
    /// What a series must have.
    pub(crate) labels: Vec<(String, String)>,
    /// Series that are equal in these are one.
    pub(crate) group_by: Vec<String>,
    pub(crate) agg: Option<Agg>,
}

/// A figure of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agg {
    /// How much happened per second: the sum of counters, the number of a histogram's values.
    Rate,
    Count,
    Sum,
    Avg,
    Min,
    Max,
    Percentile(u32),
}

impl Agg {
    const WORDS: [(&'static str, Self); 9] = [
        ("rate", Self::Rate),
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("p50", Self::Percentile(50)),
        ("p95", Self::Percentile(95)),
        ("p99", Self::Percentile(99)),
    ];

    fn parse(word: &str) -> Result<Self, Invalid> {
        let found = Self::WORDS.iter().find(|(name, _)| *name == word).map(|(_, agg)| *agg);
        found.ok_or_else(|| {
            let words = Self::WORDS.map(|(name, _)| name).join(", ");
            Invalid::new(format!("parameter 'agg': expected one of {words}, got '{word}'"))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, agg)| *agg == self).map_or("", |(name, _)| name)
    }

    /// Refuses what a type does not have.
    pub(crate) fn check(self, kind: Type) -> Result<(), Invalid> {
        let problem = match (self, kind) {
            (Self::Percentile(_), Type::Counter | Type::Gauge) => "only histograms have percentiles",
            (Self::Rate, Type::Gauge) => "a gauge has no rate",
            _ => return Ok(()),
        };
        Err(Invalid::new(format!("parameter 'agg': {problem}, and this metric is a {}", kind.name())))
    }

    /// Whether it takes more than the figures of each series to find it for several.
    pub(crate) const fn needs_sketches(self) -> bool {
        matches!(self, Self::Percentile(_))
    }

    /// The figure; a bucket that is not over yet has had `seconds` only.
    pub(crate) fn of(self, kind: Type, aggregate: &Aggregate, seconds: i64) -> Option<f64> {
        let Aggregate { count, sum, min, max, percentiles } = aggregate;
        let seconds = seconds.max(1) as f64;
        match (self, kind) {
            (Self::Rate, Type::Counter) => Some(sum / seconds),
            (Self::Rate, _) => Some(*count as f64 / seconds),
            (Self::Count, _) => Some(*count as f64),
            (Self::Sum, _) => Some(*sum),
            (Self::Avg, _) => Some(aggregate.avg()),
            (Self::Min, _) => Some(*min),
            (Self::Max, _) => Some(*max),
            (Self::Percentile(50), _) => percentiles.map(|all| all.p50),
            (Self::Percentile(95), _) => percentiles.map(|all| all.p95),
            (Self::Percentile(_), _) => percentiles.map(|all| all.p99),
        }
    }
}

impl Question {
    /// Reads the parameters.
    pub(crate) fn parse(query: &Query) -> Result<Self, Invalid> {
        let name = query.required("name")?;
        let kind = query.text("type").map(|word| {
            let expected =
                || Invalid::new(format!("parameter 'type': expected counter, histogram or gauge, got '{word}'"));
            Type::parse(word).ok_or_else(expected)
        });
        Ok(Self {
            name: name.to_owned(),
            project: query.text("project").map(str::to_owned),
            kind: kind.transpose()?,
            labels: query.text("labels").map(filter).transpose()?.unwrap_or_default(),
            group_by: query.text("group_by").map(names).transpose()?.unwrap_or_default(),
            agg: query.text("agg").map(Agg::parse).transpose()?,
        })
    }

    /// Whether several series become one.
    pub(crate) const fn merges(&self) -> bool {
        !self.group_by.is_empty() || self.agg.is_some()
    }

    /// Whether a series with these stored labels is asked for; its group if so, as JSON.
    pub(crate) fn group_of(&self, labels: &str) -> Option<String> {
        if self.labels.is_empty() && self.group_by.is_empty() {
            return Some("{}".to_owned());
        }
        // What is stored was written by us; something else has no labels to match.
        let labels: BTreeMap<String, Value> = serde_json::from_str(labels).unwrap_or_default();
        let matches = self.labels.iter().all(|(name, wanted)| labels.get(name).is_some_and(|value| is(value, wanted)));
        let group: BTreeMap<&String, &Value> = labels.iter().filter(|(name, _)| self.group_by.contains(name)).collect();
        matches.then(|| serde_json::to_string(&group).unwrap_or_default())
    }
}

/// Whether a label's value reads so.
fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(value) => value.to_string() == wanted,
        Value::Number(number) => number.to_string() == wanted,
        _ => false,
    }
}

/// `key:value,key2:value2`, where `\` takes its meaning from `,`, `:` and `\`; or a JSON object.
fn filter(text: &str) -> Result<Vec<(String, String)>, Invalid> {
    let invalid = |problem: &str| Invalid::new(format!("parameter 'labels': {problem}, got '{text}'"));
    let labels = if text.starts_with('{') {
        let members: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|_| invalid("expected key:value,key:value or a JSON object"))?;
        let text_of = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
        members.into_iter().map(|(name, value)| (name, text_of(value))).collect()
    } else {
        pairs(text).ok_or_else(|| invalid("expected key:value,key:value"))?
    };
    if labels.len() > LABELS_MAX {
        return Err(Invalid::new(format!("parameter 'labels': expected at most {LABELS_MAX}, got {}", labels.len())));
    }
    Ok(labels)
}

/// None when a pair has no `:`, no key, or ends in a lone `\`.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let (mut key, mut current) = (None, String::new());
    let mut characters = text.chars();
    loop {
        match characters.next() {
            Some('\\') => current.push(characters.next()?),
            // A value may hold more of them: a URL, a time.
            Some(':') if key.is_none() => key = Some(std::mem::take(&mut current)),
            end @ (Some(',') | None) => {
                let key = key.take().filter(|key| !key.is_empty())?;
                pairs.push((key, std::mem::take(&mut current)));
                if end.is_none() {
                    return Some(pairs);
                }
            }
            Some(other) => current.push(other),
        }
    }
}

fn names(text: &str) -> Result<Vec<String>, Invalid> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) || names.len() > LABELS_MAX {
        let detail =
            format!("parameter 'group_by': expected up to {LABELS_MAX} labels separated by commas, got '{text}'");
        return Err(Invalid::new(detail));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Result<Question, String> {
        let encode = |text: &str| text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02x}"));
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        Question::parse(&Query::parse(&query.join("&")).expect("a query")).map_err(|invalid| invalid.detail)
    }

    #[track_caller]
    fn check_filter(text: &str, expected: &[(&str, &str)]) {
        let labels = parse(&[("name", "a"), ("labels", text)]).expect("a question").labels;
        let expected: Vec<(String, String)> = expected.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        assert_eq!(labels, expected, "{text}");
    }

    #[test]
    fn filters_are_pairs_or_json() {
        check_filter("a:b,c:d", &[("a", "b"), ("c", "d")]);
        check_filter("endpoint:/api/orders,url:http://x", &[("endpoint", "/api/orders"), ("url", "http://x")]);
        check_filter(r"a:x\,y,b\:c:\\", &[("a", "x,y"), ("b:c", "\\")]);
        check_filter("a:", &[("a", "")]);
        check_filter(r#"{"a":"x,y:z","n":1}"#, &[("a", "x,y:z"), ("n", "1")]);
        for bad in ["a", "a:b,c", ":b", "a:b,", ",", "a\\", "{", "{\"a\"}"] {
            let refused = parse(&[("name", "a"), ("labels", bad)]).expect_err(bad);
            assert!(refused.starts_with("parameter 'labels': expected key:value,key:value"), "{refused}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert_eq!(parse(&[]), Err("Missing required parameter: name".into()));
        for (name, value) in [("type", "x"), ("agg", "median"), ("group_by", "a,,b")] {
            let refused = parse(&[("name", "a"), (name, value)]).expect_err(name);
            assert!(refused.starts_with(&format!("parameter '{name}': expected")), "{refused}");
        }
        assert!(Agg::Rate.check(Type::Gauge).is_err() && Agg::Percentile(95).check(Type::Counter).is_err());
        assert!(Agg::Rate.check(Type::Histogram).is_ok() && Agg::Avg.check(Type::Gauge).is_ok());
    }

    #[test]
    fn series_are_filtered_and_grouped() {
        let question = parse(&[("name", "a"), ("labels", "status:200,up:true"), ("group_by", "method, none")])
            .expect("a question");
        let stored = r#"{"method":"GET","status":200,"up":true,"x":"y"}"#;
        assert_eq!(question.group_of(stored).as_deref(), Some(r#"{"method":"GET"}"#));
        assert_eq!(question.group_of(r#"{"status":"200","up":"true"}"#).as_deref(), Some("{}"));
        assert_eq!(question.group_of(r#"{"status":"500","up":true}"#), None);
        assert_eq!(question.group_of("{}"), None);
        assert!(question.merges() && !parse(&[("name", "a")]).expect("a question").merges());
    }
}
