//! Labels in one spelling: a compact JSON object whose names are sorted, so that equal labels are equal text.

use std::borrow::Cow;
use std::fmt::Write as _;

use common::json::Invalid;

/// More labels tell nothing that a chart could show.
const LABELS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 100;
/// Holds a URL of common length.
const VALUE_BYTES_MAX: usize = 1024;
/// All of them together, as they are stored.
const LABELS_BYTES_MAX: usize = 4096;

/// A label's value as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Whole(i64),
    /// Above what an `i64` holds.
    Large(u64),
    Decimal(f64),
    Bool(bool),
    /// As good as absent.
    Null,
    /// An array or an object.
    Nested,
}

/// Labels in the order they were sent.
pub(crate) type Given<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// No labels.
pub(crate) const NONE: &str = "{}";

/// Writes the canonical form of labels to `kept`, and of those that are named in `dropped_names` (sorted) to `dropped`, which
/// stays empty when there are none.
pub(crate) fn canonical(
    given: &mut Given<'_>,
    dropped_names: &[String],
    kept: &mut String,
    dropped: &mut String,
) -> Result<(), Invalid> {
    kept.clear();
    dropped.clear();
    given.retain(|(_, value)| *value != Value::Null);
    if given.len() > LABELS_MAX {
        return Err(Invalid::new(format!("Field 'labels' must have at most {LABELS_MAX} members"))
            .because(format!("it has {}", given.len())));
    }
    given.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (position, (name, value)) in given.iter().enumerate() {
        if position > 0 && given[position - 1].0 == *name {
            return Err(Invalid::new(format!("Field 'labels': '{name}' is there twice")));
        }
        check(name, value)?;
        let is_dropped = dropped_names.binary_search_by(|other| other.as_str().cmp(name)).is_ok();
        write_label(if is_dropped { dropped } else { kept }, name, value);
    }
    for text in [&mut *kept, dropped] {
        if !text.is_empty() {
            text.push('}');
        }
        if text.len() > LABELS_BYTES_MAX {
            return Err(Invalid::new(format!("Field 'labels' must be at most {LABELS_BYTES_MAX} bytes"))
                .because(format!("it has {}", text.len())));
        }
    }
    if kept.is_empty() {
        kept.push_str(NONE);
    }
    Ok(())
}

fn check(name: &str, value: &Value<'_>) -> Result<(), Invalid> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let invalid = Invalid::new(format!("Field 'labels': a name must be 1-{NAME_BYTES_MAX} bytes"));
        return Err(invalid.because(format!("one has {}", name.len())));
    }
    match value {
        Value::Nested => {
            Err(Invalid::new(format!("Field 'labels': '{name}' must be text, a number, true, false or null")))
        }
        Value::Text(text) if text.len() > VALUE_BYTES_MAX => {
            Err(Invalid::new(format!("Field 'labels': '{name}' must be at most {VALUE_BYTES_MAX} bytes"))
                .because(format!("it has {}", text.len())))
        }
        _ => Ok(()),
    }
}

fn write_label(out: &mut String, name: &str, value: &Value<'_>) {
    out.push(if out.is_empty() { '{' } else { ',' });
    write_text(out, name);
    out.push(':');
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Text(text) => {
            write_text(out, text);
            Ok(())
        }
        Value::Whole(number) => write!(out, "{number}"),
        Value::Large(number) => write!(out, "{number}"),
        Value::Decimal(number) => {
            out.push_str(&serde_json::to_string(number).unwrap_or_default());
            Ok(())
        }
        Value::Bool(value) => write!(out, "{value}"),
        Value::Null | Value::Nested => Ok(()),
    };
}

fn write_text(out: &mut String, text: &str) {
    let is_plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical_of(given: &[(&str, Value<'static>)]) -> Result<(String, String), String> {
        let mut given: Given<'_> =
            given.iter().map(|(name, value)| (Cow::from((*name).to_owned()), value.clone())).collect();
        let (mut kept, mut dropped) = ("old".to_owned(), "old".to_owned());
        let names = ["b".to_owned(), "session_id".to_owned()];
        canonical(&mut given, &names, &mut kept, &mut dropped).map_err(|invalid| invalid.detail)?;
        Ok((kept, dropped))
    }

    #[track_caller]
    fn check_canonical(given: &[(&str, Value<'static>)], kept: &str, dropped: &str) {
        assert_eq!(canonical_of(given), Ok((kept.into(), dropped.into())));
    }

    #[test]
    fn names_are_sorted_and_some_are_kept_apart() {
        let text = |text: &'static str| Value::Text(text.into());
        check_canonical(&[], "{}", "");
        check_canonical(&[("z", text("1")), ("a", Value::Whole(1))], r#"{"a":1,"z":"1"}"#, "");
        check_canonical(&[("session_id", text("s")), ("b", Value::Bool(true))], "{}", r#"{"b":true,"session_id":"s"}"#);
        check_canonical(&[("x", Value::Null), ("y", Value::Decimal(0.5))], r#"{"y":0.5}"#, "");
        check_canonical(
            &[("q\"", text("a\\\n\u{1}é")), ("u", Value::Large(u64::MAX))],
            "{\"q\\\"\":\"a\\\\\\n\\u0001é\",\"u\":18446744073709551615}",
            "",
        );
    }

    #[test]
    fn what_is_no_label_is_named() {
        let many: Vec<String> = (0..33).map(|number| format!("l{number}")).collect();
        let many: Vec<(&str, Value<'static>)> = many.iter().map(|name| (name.as_str(), Value::Bool(true))).collect();
        assert_eq!(canonical_of(&many).expect_err("too many"), "Field 'labels' must have at most 32 members");
        for (given, expected) in [
            (vec![("a", Value::Whole(1)), ("a", Value::Whole(1))], "Field 'labels': 'a' is there twice"),
            (vec![("", Value::Whole(1))], "Field 'labels': a name must be 1-100 bytes"),
            (vec![("a", Value::Nested)], "Field 'labels': 'a' must be text, a number, true, false or null"),
            (vec![("a", Value::Text("x".repeat(1025).into()))], "Field 'labels': 'a' must be at most 1024 bytes"),
        ] {
            assert_eq!(canonical_of(&given).expect_err("a refusal"), expected);
        }
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter_and_it_stays_json(labels in prop::collection::btree_map(".{1,8}", ".{0,8}", 0..6), seed: u64) {
            let sorted: Vec<(String, String)> = labels.clone().into_iter().collect();
            let mut mixed = sorted.clone();
            let length = mixed.len().max(1);
            mixed.rotate_left(seed as usize % length);
            let write = |labels: Vec<(String, String)>| {
                let mut given: Given<'_> = labels.into_iter().map(|(name, value)| (name.into(), Value::Text(value.into()))).collect();
                let (mut kept, mut dropped) = (String::new(), String::new());
                canonical(&mut given, &[], &mut kept, &mut dropped).map(|()| kept).map_err(|invalid| invalid.detail)
            };
            let one = write(sorted);
            prop_assert_eq!(&one, &write(mixed));
            let read: std::collections::BTreeMap<String, String> = serde_json::from_str(&one.expect("labels")).expect("JSON");
            prop_assert_eq!(read, labels);
        }
    }
}
