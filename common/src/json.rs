//! Takes fields out of a JSON body, and says what is wrong with it. Nothing is copied that can be borrowed from the
//! body: a value stays text until somebody asks for it.

use memchr::{memchr, memchr2};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::{self, Display};

/// How deep objects and arrays may nest, the outermost included.
pub const MAX_DEPTH: usize = 128;

/// How many members a body may have. A member costs forty bytes of memory and may take only eight of the body.
const MEMBERS_MAX: usize = 10_000;

/// How much of a stranger's member name a message repeats.
const NAME_CHARS_MAX: usize = 80;

/// What is wrong with something that came from outside.
#[derive(Debug, PartialEq)]
pub struct Invalid {
    /// The contract's exact sentence.
    pub detail: String,
    /// What in particular.
    pub reason: Option<String>,
}

impl Invalid {
    /// Just the sentence.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), reason: None }
    }

    /// Adds what in particular.
    #[must_use]
    pub fn because(self, reason: impl Display) -> Self {
        Self { reason: Some(reason.to_string()), ..self }
    }
}

/// The members of a JSON object, borrowed from the body.
#[derive(Debug)]
pub struct Object<'a> {
    /// Sorted by name, and no name twice.
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads a whole body.
    ///
    /// Fails with `Invalid JSON`, or with `Request body must be a JSON object` when it is valid JSON of another kind.
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let text = check(body)?;
        if !text.trim_ascii_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text).map_err(invalid_json)?;
            return Err(Invalid::new("Request body must be a JSON object"));
        }
        let Members(mut members) = serde_json::from_str(text).map_err(invalid_json)?;
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some([(name, _), _]) = members.array_windows().find(|[(a, _), (b, _)]| a == b) {
            let name: String = name.chars().take(NAME_CHARS_MAX).collect();
            return Err(invalid_json(format_args!("two members are named '{name}'")));
        }
        Ok(Self { members })
    }

    /// A member as it stands in the body; `null` counts as absent.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let at = self.members.binary_search_by(|(other, _)| other.as_ref().cmp(name)).ok()?;
        let raw = self.members[at].1;
        (raw.get() != "null").then_some(raw)
    }

    /// All members, sorted by name.
    pub fn into_members(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.members
    }

    /// A string; `None` when it is absent or something else.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).and_then(text)
    }

    /// A string that must be there.
    pub fn required_text(&self, name: &str) -> Result<Cow<'a, str>, Invalid> {
        self.text(name).ok_or_else(|| Invalid::new(format!("Missing required field: {name}")))
    }

    /// Any value, as text without the white space between its parts.
    pub fn compact(&self, name: &str) -> Option<String> {
        self.raw(name).map(|raw| compact(raw.get()))
    }
}

/// A body's text, in which nothing nests too deep and no string has half a surrogate pair. The rest of its syntax is for who
/// reads it. Fails with `Invalid JSON`.
pub fn check(body: &[u8]) -> Result<&str, Invalid> {
    let text = str::from_utf8(body).map_err(invalid_json)?;
    if text.trim_ascii_start().is_empty() {
        return Err(invalid_json("the body is empty"));
    }
    prescan(text.as_bytes()).map_err(invalid_json)?;
    Ok(text)
}

/// Valid JSON without the white space between its parts; numbers and strings keep their spelling.
pub fn compact(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut text = String::with_capacity(raw.len());
    let (mut kept, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' => {
                text.push_str(&raw[kept..at]);
                at += 1;
                kept = at;
            }
            _ => at += 1,
        }
    }
    text.push_str(&raw[kept..]);
    // The text may wait in a queue that is bounded by what it holds, not by what it has room for.
    text.shrink_to_fit();
    text
}

/// `Invalid JSON`, and why.
pub fn invalid_json(reason: impl Display) -> Invalid {
    Invalid::new("Invalid JSON").because(reason)
}

/// The object's members in the order of the body.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A string that is borrowed if it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Text(name), value)) = map.next_entry()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(format_args!("expected at most {MEMBERS_MAX} members")));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    // Looking first is cheaper than an error that nobody reads.
    let is_text = raw.get().starts_with('"');
    is_text.then(|| serde_json::from_str(raw.get()).ok()).flatten().map(|Text(text)| text)
}

/// Finds what `serde_json` does not mind in values that it only skips. Syntax is left to it.
fn prescan(bytes: &[u8]) -> Result<(), String> {
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'"' => {
                at = string_end(bytes, start);
                if has_lone_surrogate(&bytes[start..at]) {
                    return Err(format!("half a surrogate pair in the string at byte {start}"));
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels at byte {start}"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Where the string that opens at `open` ends, its quotes included.
fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(before) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += before;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

fn has_lone_surrogate(string: &[u8]) -> bool {
    let mut at = 0;
    while let Some(before) = string.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += before;
        at += match escaped_unit(string, at) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(escaped_unit(string, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => return true,
            Some(_) => 6,
        }
    }
    false
}

/// The number in the `\uXXXX` at `at`, if there is one.
fn escaped_unit(string: &[u8], at: usize) -> Option<u16> {
    let digits = string.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[track_caller]
    fn refuse(body: impl AsRef<[u8]>, reason: &str) {
        let invalid = Object::parse(body.as_ref()).unwrap_err();
        assert_eq!(invalid.detail, "Invalid JSON");
        let text = invalid.reason.unwrap();
        assert!(text.contains(reason), "expected '{reason}' in '{text}'");
    }

    #[track_caller]
    fn check_compact(raw: &str, expected: &str) {
        assert_eq!(compact(raw), expected);
    }

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn takes_fields_out_of_an_object() {
        let body = br#" {"a": "x", "b\u0062": "caf\u00e9 \ud83d\ude00\u0000", "n": 1.50, "z": null, "o": {"k": [1, 2]}, "": ""} "#;
        let object = Object::parse(body).unwrap();
        assert!(matches!(object.text("a"), Some(Cow::Borrowed("x"))));
        assert_eq!(object.text("bb").unwrap(), "café 😀\0");
        assert_eq!(object.text("").unwrap(), "");
        assert_eq!(object.text("n"), None);
        assert_eq!(object.raw("n").unwrap().get(), "1.50");
        assert!(object.raw("z").is_none() && object.raw("absent").is_none());
        assert_eq!(object.compact("o").unwrap(), r#"{"k":[1,2]}"#);
        assert_eq!(object.compact("z"), None);
        assert_eq!(object.required_text("a").unwrap(), "x");
        for name in ["n", "z", "absent"] {
            assert_eq!(object.required_text(name), Err(Invalid::new(format!("Missing required field: {name}"))));
        }
    }

    #[test]
    fn takes_every_number_as_it_is() {
        let object = Object::parse(br#"{"big":123456789012345678901234567890,"huge":1e400,"minus":-0}"#).unwrap();
        assert_eq!(object.compact("big").unwrap(), "123456789012345678901234567890");
        assert_eq!(object.compact("huge").unwrap(), "1e400");
        assert_eq!(object.compact("minus").unwrap(), "-0");
    }

    #[test]
    fn refuses_what_is_not_json() {
        refuse("", "empty");
        refuse(" \r\n\t", "empty");
        refuse("{", "EOF");
        refuse("[1, 2", "EOF");
        refuse("{} {}", "trailing characters");
        refuse("[] x", "trailing characters");
        refuse(r#"{"a":1,}"#, "trailing comma");
        refuse("{'a':1}", "key must be a string");
        refuse(r#"{"a":NaN}"#, "line 1 column 6");
        refuse(r#"{"a":01}"#, "invalid number");
        refuse("\u{feff}{}", "expected value");
        refuse(b"{\"a\":\"\xff\"}", "utf-8");
        refuse("{\"a\":\"x\ny\"}", "control character");
        refuse("{\"a\":{\"b\":\"\0\"}}", "control character");
        refuse(r#"{"a":"\x"}"#, "invalid escape");
        refuse(r#"{"a":["\u12"]}"#, "invalid escape");
        refuse(r#"{"a":"b\"}"#, "EOF");
    }

    #[test]
    fn refuses_half_a_surrogate_pair_anywhere() {
        for text in [r"\ud800", r"\uDC00", r"x\udbff\u0041", r"\ud800\ud800\udc00", r"\\\ud800", r"\ud83d\n\ude00"] {
            refuse(format!(r#"{{"a":[{{"{text}":1}}]}}"#), "surrogate");
            refuse(format!(r#"{{"a":"{text}"}}"#), "surrogate");
            refuse(format!(r#"["{text}"]"#), "surrogate");
        }
        for text in [r"\\ud800", r"\ud83d\ude00", r"\uD83D\uDE00\u0000", r"\ue000\ud7ff"] {
            Object::parse(format!(r#"{{"a":["{text}"]}}"#).as_bytes()).unwrap();
        }
    }

    #[test]
    fn refuses_deep_nesting_and_no_less() {
        let body = |levels| format!(r#"{{"[[": "[{{\"[", "a": {}, "b": {}}}"#, nested(levels), nested(levels));
        Object::parse(body(MAX_DEPTH - 1).as_bytes()).unwrap();
        refuse(body(MAX_DEPTH), "nested deeper than 128 levels");
        refuse(nested(MAX_DEPTH + 1), "nested");
        refuse("[".repeat(1_000_000), "nested");
        refuse("]".repeat(1000), "expected value");
    }

    #[test]
    fn refuses_a_name_given_twice_at_the_top() {
        refuse(r#"{"a":1,"b":2,"\u0061":null}"#, "two members are named 'a'");
        refuse(r#"{"a":null,"a":null}"#, "'a'");
        Object::parse(br#"{"a":{"x":1,"x":2},"A":[{"y":1,"y":1}]}"#).unwrap();
    }

    #[test]
    fn bounds_the_members() {
        let body = |count| format!("{{{}}}", (0..count).map(|n| format!(r#""{n}":{n}"#)).collect::<Vec<_>>().join(","));
        let fits = body(MEMBERS_MAX);
        assert_eq!(Object::parse(fits.as_bytes()).unwrap().compact("9999").unwrap(), "9999");
        refuse(body(MEMBERS_MAX + 1), "at most 10000 members");
    }

    #[test]
    fn refuses_json_that_is_no_object() {
        for body in ["[]", " null", "1", r#""{}""#, "true", &nested(MAX_DEPTH)] {
            assert_eq!(
                Object::parse(body.as_bytes()).unwrap_err(),
                Invalid::new("Request body must be a JSON object"),
                "{body}"
            );
        }
    }

    #[test]
    fn compact_drops_only_insignificant_white_space() {
        check_compact("1", "1");
        check_compact(" [ 1 ,\n\t2 ]\r\n", "[1,2]");
        check_compact(r#"{ "a b" : "c \" : \\" , "d" : [ ] }"#, r#"{"a b":"c \" : \\","d":[]}"#);
        check_compact("\" é\u{2028} \" ", "\" é\u{2028} \"");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ \\\\\"\\n\\t,:]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn compact_is_what_serde_writes(value in any_json()) {
            let plain = value.to_string();
            prop_assert_eq!(compact(&serde_json::to_string_pretty(&value).unwrap()), plain.as_str());
            prop_assert_eq!(compact(&plain), plain);
        }

        #[test]
        fn any_object_is_taken_apart(members in prop::collection::btree_map(any::<String>(), any_json(), 0..8)) {
            let value = Value::Object(members.clone().into_iter().collect());
            let body = serde_json::to_vec_pretty(&value).unwrap();
            let object = Object::parse(&body).unwrap();
            for (name, value) in &members {
                let text = object.text(name);
                prop_assert_eq!(text.as_deref(), value.as_str());
                let expected = (!value.is_null()).then(|| value.to_string());
                prop_assert_eq!(object.compact(name), expected);
            }
        }

        #[test]
        fn agrees_with_serde_on_what_is_json(body in r#"[\[\]{}",:0-9a\\ud8c ]{0,24}"#) {
            // The depth is far below the limit, so only duplicates and surrogates can make the difference.
            let known = serde_json::from_str::<Value>(&body).is_ok();
            let refused = Object::parse(body.as_bytes()).err().is_some_and(|invalid| {
                let reason = invalid.reason.unwrap_or_default();
                invalid.detail == "Invalid JSON" && !reason.contains("two members")
            });
            prop_assert_eq!(known, !refused);
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64), text in ".{0,40}") {
            let _ = Object::parse(&body);
            let _ = Object::parse(format!("{{\"a\":\"{text}").as_bytes());
            compact(&text);
        }
    }
}
