//! Which labels the series of a metric have, and with which values: for those who choose among them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// More values of a label than anybody reads through.
const VALUES_MAX: usize = 100;
/// Names and values together; a value may be as long as a label can be.
const BYTES_MAX: usize = 256 << 10;

/// Labels in the making: those of series go in, one after the other.
#[derive(Debug, Default)]
pub(crate) struct LabelList {
    /// Names and values, ascending.
    pub(crate) labels: BTreeMap<String, Values>,
    /// Series that were looked at.
    pub(crate) series: u64,
    bytes: usize,
}

/// The values of a label.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) all: BTreeSet<String>,
    /// Whether there are more than were kept.
    pub(crate) has_more: bool,
}

impl LabelList {
    /// Adds the labels of a series, a JSON object. Of what there is no room for, only that there is more is kept.
    pub(crate) fn add(&mut self, labels: &str) {
        self.series += 1;
        // What is stored was written by us; something else counts as no labels.
        let labels: BTreeMap<String, Value> = serde_json::from_str(labels).unwrap_or_default();
        for (name, value) in labels {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            self.add_label(name, value);
        }
    }

    fn add_label(&mut self, name: String, value: String) {
        let is_known = self.labels.contains_key(&name);
        let bytes = value.len() + if is_known { 0 } else { name.len() };
        let has_room = self.bytes + bytes <= BYTES_MAX;
        if !is_known && !has_room {
            return;
        }
        let values = self.labels.entry(name).or_default();
        if values.all.contains(&value) {
            return;
        }
        if has_room && values.all.len() < VALUES_MAX {
            self.bytes += bytes;
            values.all.insert(value);
        } else {
            values.has_more = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_listed_once_up_to_a_bound() {
        let mut list = LabelList::default();
        for number in 0..=VALUES_MAX {
            list.add(&format!(r#"{{"n":{number},"ok":true,"text":"a"}}"#));
        }
        assert_eq!(list.series, VALUES_MAX as u64 + 1);
        assert_eq!(list.labels["ok"], Values { all: ["true".to_owned()].into(), has_more: false });
        assert_eq!(list.labels["text"].all, ["a".to_owned()].into());
        assert_eq!((list.labels["n"].all.len(), list.labels["n"].has_more), (VALUES_MAX, true));
    }

    #[test]
    fn long_values_take_no_more_than_their_share() {
        let mut list = LabelList::default();
        let long = "x".repeat(1000);
        for number in 0..60_000 {
            list.add(&format!(r#"{{"label{}":"{number}{long}"}}"#, number % 600));
        }
        let kept: usize = list.labels.values().flat_map(|values| &values.all).map(String::len).sum();
        assert!((BYTES_MAX / 2..=BYTES_MAX).contains(&kept), "{kept}");
        assert!(list.labels.values().any(|values| values.has_more));
    }
}
