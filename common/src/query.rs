//! The query string of a URL, percent-decoded once, and typed access to its parameters.

use std::fmt;
use std::num::IntErrorKind;

use crate::clock::Timestamp;
use crate::json::Invalid;

/// How many parameters a query may have.
const PARAMETERS_MAX: usize = 64;

/// A part of a URL that cannot be decoded, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEscape(String);

impl fmt::Display for BadEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadEscape {}

/// The parameters of a query. A name given twice has its last value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `name=value&name=value`; parts without `=` do not count.
    pub fn parse(raw: &str) -> Result<Self, BadEscape> {
        let mut parameters = Vec::new();
        for (name, value) in raw.split('&').filter_map(|part| part.split_once('=')) {
            if parameters.len() == PARAMETERS_MAX {
                return Err(BadEscape(format!("query: expected at most {PARAMETERS_MAX} parameters")));
            }
            let value = percent_decode(value, true).map_err(|bad| BadEscape(format!("parameter '{name}': {bad}")))?;
            parameters.push((percent_decode(name, true)?, value));
        }
        Ok(Self(parameters))
    }

    /// A parameter's value, which may be empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's value; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that has several names: the last given, whichever name it has; empty ones count as absent.
    pub fn text_of_any(&self, names: &[&str]) -> Option<&str> {
        let mut given = self.0.iter().rev().filter(|(name, value)| names.contains(&name.as_str()) && !value.is_empty());
        given.next().map(|(_, value)| value.as_str())
    }

    /// A whole number, absent when empty. What does not fit into an `i64` becomes the nearest one that does.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Invalid> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(error) => match error.kind() {
                IntErrorKind::PosOverflow => Ok(Some(i64::MAX)),
                IntErrorKind::NegOverflow => Ok(Some(i64::MIN)),
                _ => Err(Invalid::new(format!("parameter '{name}': expected a whole number, got '{text}'"))),
            },
        }
    }
}

/// Typed access: an empty parameter counts as absent, and what cannot be read is refused by name.
impl Query {
    /// A parameter that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Invalid> {
        self.text(name).ok_or_else(|| Invalid::new(format!("Missing required parameter: {name}")))
    }

    /// What `parse` makes of a parameter; `expected` says what that can be.
    pub fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Invalid> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let invalid = || Invalid::new(format!("parameter '{name}': expected {expected}, got '{text}'"));
        parse(text).map(Some).ok_or_else(invalid)
    }

    /// One of some words, and what it stands for.
    pub fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Invalid> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        self.parsed(name, &format!("one of {}", names.join(", ")), find)
    }

    /// A moment.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Invalid> {
        self.parsed(name, TIME, Timestamp::parse)
    }

    /// Which stretch of a list: `limit`, which is `default` when it is 0 or less and `most` when it is more, and `offset`.
    pub fn page(&self, default: i64, most: i64) -> Result<Page, Invalid> {
        let limit = self.integer("limit")?.filter(|limit| *limit > 0).unwrap_or(default).min(most);
        Ok(Page { limit, offset: self.integer("offset")?.unwrap_or(0).max(0) })
    }
}

/// How a moment is written.
pub const TIME: &str = "an ISO 8601 time such as 2026-01-20T10:00:00Z";

/// A stretch of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The most rows it has.
    pub limit: i64,
    /// Rows before it.
    pub offset: i64,
}

/// Decodes `%41` and, in queries but not in paths, `+`.
///
/// Fails when two hex digits are missing after a `%`, and when the result is not UTF-8.
pub fn percent_decode(text: &str, plus_is_space: bool) -> Result<String, BadEscape> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'%' => {
                let (byte, after) = escaped_byte(rest)?;
                decoded.push(byte);
                rest = after;
            }
            b'+' if plus_is_space => decoded.push(b' '),
            _ => decoded.push(*first),
        }
    }
    String::from_utf8(decoded).map_err(|_| BadEscape(format!("expected UTF-8, got '{text}'")))
}

/// The byte that the two digits in front of `rest` stand for, and what follows them.
fn escaped_byte(rest: &[u8]) -> Result<(u8, &[u8]), BadEscape> {
    let hex = |digit: u8| char::from(digit).to_digit(16);
    if let [high, low, after @ ..] = rest
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Ok(((high << 4 | low) as u8, after));
    }
    let got = String::from_utf8_lossy(rest);
    let got: String = got.chars().take(2).collect();
    Err(BadEscape(format!("expected two hex digits after '%', got '%{got}'")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(raw: &str, expected: &[(&str, Option<&str>)]) {
        let query = Query::parse(raw).unwrap();
        for (name, value) in expected {
            assert_eq!(query.get(name), *value, "{name} in {raw}");
        }
    }

    #[track_caller]
    fn refuse(raw: &str, message: &str) {
        assert_eq!(Query::parse(raw).unwrap_err().to_string(), message);
    }

    #[test]
    fn splits_and_decodes() {
        check("", &[("", None)]);
        check("a=1&b=2", &[("a", Some("1")), ("b", Some("2")), ("c", None)]);
        check("a=1&a=2&a=3", &[("a", Some("3"))]);
        check("a&b=&&=x", &[("a", None), ("b", Some("")), ("", Some("x"))]);
        check("a=b=c?d", &[("a", Some("b=c?d"))]);
        check("s%C3%a9q=a+b%2Bc%26%3d%00", &[("séq", Some("a b+c&=\0"))]);
        check("a+b=1", &[("a b", Some("1"))]);
        check("a=é", &[("a", Some("é"))]);
    }

    #[test]
    fn refuses_bad_escapes() {
        refuse("q=%zz", "parameter 'q': expected two hex digits after '%', got '%zz'");
        refuse("a=1&q=100%", "parameter 'q': expected two hex digits after '%', got '%'");
        refuse("q=%4", "parameter 'q': expected two hex digits after '%', got '%4'");
        refuse("q=%é1", "parameter 'q': expected two hex digits after '%', got '%é1'");
        refuse("q=%+1", "parameter 'q': expected two hex digits after '%', got '%+1'");
        refuse("q=%ff", "parameter 'q': expected UTF-8, got '%ff'");
        refuse("%zz=1", "expected two hex digits after '%', got '%zz'");
    }

    #[test]
    fn bounds_the_parameters() {
        Query::parse(&"a=1&".repeat(PARAMETERS_MAX)).unwrap();
        refuse(&"a=1&".repeat(PARAMETERS_MAX + 1), "query: expected at most 64 parameters");
    }

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(percent_decode("a+b%20c", false).unwrap(), "a+b c");
    }

    #[test]
    fn an_empty_text_is_absent() {
        let query = Query::parse("a=&b=x").unwrap();
        assert_eq!((query.text("a"), query.text("b"), query.text("c")), (None, Some("x"), None));
    }

    #[test]
    fn the_last_of_several_names_counts() {
        let last = |raw: &str| Query::parse(raw).unwrap().text_of_any(&["search", "q"]).map(str::to_owned);
        assert_eq!(last("search=a&q=b&x=c").as_deref(), Some("b"));
        assert_eq!(last("q=b&search=a&q=").as_deref(), Some("a"));
        assert_eq!(last("q=&x=c"), None);
    }

    #[test]
    fn reads_whole_numbers() {
        let raw = "a=7&b=-7&c=%2B7&d=&e=99999999999999999999&f=-99999999999999999999&limit=abc&g=1.5&h=-&i=1e3";
        let query = Query::parse(raw).unwrap();
        for (name, expected) in [
            ("a", Some(7)),
            ("b", Some(-7)),
            ("c", Some(7)),
            ("d", None),
            ("e", Some(i64::MAX)),
            ("f", Some(i64::MIN)),
            ("absent", None),
        ] {
            assert_eq!(query.integer(name), Ok(expected), "{name}");
        }
        for name in ["g", "h", "i"] {
            query.integer(name).unwrap_err();
        }
        let expected = Invalid::new("parameter 'limit': expected a whole number, got 'abc'");
        assert_eq!(query.integer("limit"), Err(expected));
    }

    #[test]
    fn typed_parameters_are_read_or_refused_by_name() {
        let query = Query::parse("word=b&time=2026-01-20T10:00:00Z&empty=&bad=c").unwrap();
        let words = [("a", 1), ("b", 2)];
        assert_eq!(query.one_of("word", &words), Ok(Some(2)));
        assert_eq!(query.one_of("empty", &words), Ok(None));
        assert_eq!(query.one_of("bad", &words), Err(Invalid::new("parameter 'bad': expected one of a, b, got 'c'")));
        assert_eq!(query.time("time"), Ok(Timestamp::parse("2026-01-20T10:00:00Z")));
        assert_eq!(query.time("none"), Ok(None));
        query.time("bad").unwrap_err();
        assert_eq!(query.required("word"), Ok("b"));
        assert_eq!(query.required("empty"), Err(Invalid::new("Missing required parameter: empty")));
    }

    #[test]
    fn pages_are_clamped() {
        for (raw, limit, offset) in [
            ("", 50, 0),
            ("limit=0&offset=-1", 50, 0),
            ("limit=-7", 50, 0),
            ("limit=200&offset=9", 200, 9),
            ("limit=201&offset=99999999999999999999", 200, i64::MAX),
        ] {
            assert_eq!(Query::parse(raw).unwrap().page(50, 200), Ok(Page { limit, offset }), "{raw}");
        }
        Query::parse("limit=x").unwrap().page(50, 200).unwrap_err();
        Query::parse("offset=1.5").unwrap().page(50, 200).unwrap_err();
    }

    fn encode(text: &str) -> String {
        text.bytes().flat_map(|byte| format!("%{byte:02x}").into_bytes()).map(char::from).collect()
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(name: String, value: String) {
            let query = Query::parse(&format!("{}={}", encode(&name), encode(&value))).unwrap();
            prop_assert_eq!(query.get(&name), Some(value.as_str()));
            prop_assert_eq!(percent_decode(&encode(&value), false).unwrap(), value);
        }

        #[test]
        fn any_text_is_read_or_refused(raw: String, escapes in "[%0-9a-f=&+é]{0,40}") {
            let _ = Query::parse(&raw);
            let _ = Query::parse(&escapes);
        }
    }
}
