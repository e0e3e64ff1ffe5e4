//! One record of Docker's json-file driver: a line of JSON that holds a line of a program's output, or a piece of one.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::entry::{LogTime, Stream};

/// How the driver begins every record. It can occur nowhere else in one: in a text its quotes would be escaped.
const BEGIN: &[u8] = br#"{"log":""#;

/// What stands at the end of a text that [`parse_cut`] could not see whole.
pub(crate) const CUT_MARK: &str = "… [the rest of the line was cut]";

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// None when it is absent or no time.
    pub(crate) time: Option<LogTime>,
    pub(crate) stream: Stream,
    /// Without the line's end.
    pub(crate) text: Cow<'a, str>,
    /// Whether the line is complete; the driver cuts lines over 16 KiB into several records.
    pub(crate) ends_line: bool,
}

impl Record<'_> {
    fn into_owned(self) -> Record<'static> {
        let Self { time, stream, text, ends_line } = self;
        Record { time, stream, text: Cow::Owned(text.into_owned()), ends_line }
    }
}

/// Reads a record without its newline; `None` when it is none.
///
/// Bytes that are not UTF-8 become U+FFFD. What a crash of the machine left before a record (NUL bytes, half a record)
/// is passed over.
pub(crate) fn parse(line: &[u8]) -> Option<Record<'_>> {
    parse_as_written(line).or_else(|| parse_any(line)).or_else(|| {
        let begin = memmem::rfind(line, BEGIN).filter(|&at| at > 0)?;
        parse_as_written(&line[begin..]).or_else(|| parse_any(&line[begin..]))
    })
}

/// Reads a record that was longer than the reader keeps, from its first and its last bytes. Its text ends with
/// [`CUT_MARK`] when its end is not in `head`.
pub(crate) fn parse_cut(head: &[u8], tail: &[u8]) -> Option<Record<'static>> {
    let raw = head.strip_prefix(BEGIN)?;
    let (mut text, ends_line) = match closing_quote(raw) {
        Some(end) => decode_line(&raw[..end]),
        None => (Cow::Owned(decode_start(raw)), false),
    };
    if !ends_line {
        text.to_mut().push_str(CUT_MARK);
    }
    let stream = last_text(tail, br#""stream":""#).map_or(Stream::Stdout, stream_of);
    let time = last_text(tail, br#""time":""#).and_then(|time| LogTime::parse(str::from_utf8(time).ok()?));
    Some(Record { time, stream, text: Cow::Owned(text.into_owned()), ends_line: true })
}

/// The driver's own spelling: three members in this order and no spaces. Nearly every record is, and this is ten times as
/// fast as a JSON parser.
fn parse_as_written(line: &[u8]) -> Option<Record<'_>> {
    let rest = line.strip_prefix(BEGIN)?;
    let (log, rest) = rest.split_at(closing_quote(rest)?);
    let rest = rest.strip_prefix(br#"","stream":"std"#)?;
    let (stream, rest) = match rest.split_at_checked(3)? {
        (b"out", rest) => (Stream::Stdout, rest),
        (b"err", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    let time = rest.strip_prefix(br#"","time":""#)?.strip_suffix(br#""}"#)?;
    let time = LogTime::parse(str::from_utf8(time).ok()?)?;
    let (text, ends_line) = decode_line(log);
    Some(Record { time: Some(time), stream, text, ends_line })
}

/// The members of a record as JSON values; others are ignored.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    log: &'a RawValue,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// Any other spelling: further members (`attrs`), another order, spaces.
fn parse_any(line: &[u8]) -> Option<Record<'_>> {
    let start = line.iter().position(|&byte| byte != 0 && !byte.is_ascii_whitespace())?;
    let line = &line[start..];
    // An array of three values would do as well for serde.
    if line[0] != b'{' {
        return None;
    }
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(json) => parse_json(json),
        Cow::Owned(json) => parse_json(&json).map(Record::into_owned),
    }
}

fn parse_json(json: &str) -> Option<Record<'_>> {
    let members: Members<'_> = serde_json::from_str(json).ok()?;
    let (text, ends_line) = decode_line(string(members.log)?);
    let stream = members.stream.and_then(string).map_or(Stream::Stdout, stream_of);
    let time = members.time.and_then(string).and_then(|time| LogTime::parse(&decode(time)));
    Some(Record { time, stream, text, ends_line })
}

/// What stands between the quotes of a JSON string.
fn string(value: &RawValue) -> Option<&[u8]> {
    value.get().as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn stream_of(name: &[u8]) -> Stream {
    if name == Stream::Stderr.name().as_bytes() { Stream::Stderr } else { Stream::Stdout }
}

/// Where a JSON string ends whose opening quote was read.
fn closing_quote(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The text of the last member with this name.
fn last_text<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let text = &bytes[memmem::rfind(bytes, name)? + name.len()..];
    Some(&text[..closing_quote(text)?])
}

/// A JSON string's text without its line end, and whether it had one.
fn decode_line(raw: &[u8]) -> (Cow<'_, str>, bool) {
    let escape = memchr(b'\\', raw).unwrap_or(raw.len());
    let (before, escapes) = raw.split_at(escape);
    match escapes {
        b"" => (String::from_utf8_lossy(before), false),
        // The usual line: its end is its only escape.
        br"\n" | br"\r\n" => (without_return(String::from_utf8_lossy(before)), true),
        _ => {
            let mut text = unescape(&String::from_utf8_lossy(raw));
            let ends_line = text.ends_with('\n');
            text.truncate(text.strip_suffix('\n').map_or(text.len(), |line| line.trim_end_matches('\r').len()));
            (Cow::Owned(text), ends_line)
        }
    }
}

fn without_return(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches('\r')),
        Cow::Owned(text) => Cow::Owned(text.trim_end_matches('\r').to_owned()),
    }
}

/// The text of a JSON string that was cut off somewhere, maybe within a character or an escape.
fn decode_start(raw: &[u8]) -> String {
    let text = unescape(&String::from_utf8_lossy(raw));
    text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
}

fn decode(raw: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(raw) {
        text if memchr(b'\\', raw).is_none() => text,
        text => Cow::Owned(unescape(&text)),
    }
}

/// Resolves JSON's escapes. What is no escape stays as it is; half a surrogate pair becomes U+FFFD.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (char, length) = escaped(&rest[at + 1..]);
        text.extend(char);
        rest = &rest[at + 1 + length..];
    }
    text.push_str(rest);
    text
}

/// The character that an escape stands for, and the escape's length behind the backslash.
fn escaped(rest: &str) -> (Option<char>, usize) {
    let char = match rest.as_bytes().first() {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(b'u') => return unicode(rest),
        Some(_) => return (Some('\\'), 0),
        None => return (None, 0),
    };
    (Some(char), 1)
}

/// Reads `uXXXX`, or `uXXXX\uXXXX` when those are a surrogate pair.
fn unicode(rest: &str) -> (Option<char>, usize) {
    let Some(first) = code_unit(rest) else {
        // Broken, or cut off.
        let length = 1 + rest[1..].bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
        return (Some(char::REPLACEMENT_CHARACTER), length);
    };
    if let 0xd800..0xdc00 = first
        && let Some(second @ 0xdc00..0xe000) = rest[5..].strip_prefix('\\').and_then(code_unit)
    {
        let code = 0x1_0000 + ((u32::from(first) - 0xd800) << 10) + (u32::from(second) - 0xdc00);
        return (char::from_u32(code), 11);
    }
    (Some(char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER)), 5)
}

fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    // `from_str_radix` would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const TIME: &str = "2026-11-23T02:12:51.261236969Z";

    fn line(log: &str) -> Vec<u8> {
        format!(r#"{{"log":"{log}","stream":"stdout","time":"{TIME}"}}"#).into_bytes()
    }

    /// What a record with this `log`, in JSON's spelling, says; in the driver's order and in another.
    #[track_caller]
    fn check(log: &str, text: &str, ends_line: bool) {
        let expected = Record { time: LogTime::parse(TIME), stream: Stream::Stdout, text: text.into(), ends_line };
        assert_eq!(parse(&line(log)).as_ref(), Some(&expected), "{log}");
        let other = format!(r#" {{"attrs":{{"log":1}},"time":"{TIME}","stream":"stdout", "log" : "{log}"}} "#);
        assert_eq!(parse(other.as_bytes()).as_ref(), Some(&expected), "{log}");
    }

    #[test]
    fn escapes_are_decoded() {
        check(r"plain\n", "plain", true);
        check("", "", false);
        check(r"\n", "", true);
        check("piece of a line", "piece of a line", false);
        check(r"a \u003ctag\u003e \u0026 \u0009tab \u001b[31m \u0000 é\n", "a <tag> & \ttab \x1b[31m \0 é", true);
        check(r#"\"quoted\" back\\slash \/ \b\f\n\r\t\n"#, "\"quoted\" back\\slash / \u{8}\u{c}\n\r\t", true);
        check(r"\ud83d\ude00 \u20ac\n", "😀 €", true);
        check(r"\ud83d alone \ude00\ud83d\n", "\u{fffd} alone \u{fffd}\u{fffd}", true);
        check(r"two\n\n", "two\n", true);
        check(r"no end \\n", "no end \\n", false);
    }

    #[test]
    fn a_carriage_return_belongs_to_the_line_end() {
        check(r"tty\r\n", "tty", true);
        check(r"a\tb\r\r\n", "a\tb", true);
        check(r"50%\r100%\r\n", "50%\r100%", true);
        check(r"no end\r", "no end\r", false);
    }

    #[test]
    fn bytes_that_are_not_utf8_become_marks() {
        let with_byte = |before: &str, after: &str| [before.as_bytes(), b"\xff", after.as_bytes()].concat();
        let written = with_byte(r#"{"log":"a"#, r#"b\n","stream":"stderr","time":""}"#);
        let other = with_byte(r#"{"stream":"stderr","log":"a"#, r#"b\n"}"#);
        for line in [written, other] {
            let record = parse(&line).expect("a record");
            assert_eq!((record.text.as_ref(), record.stream), ("a\u{fffd}b", Stream::Stderr));
        }
    }

    #[test]
    fn what_is_missing_has_a_default() {
        let record = |json: Value| parse(json.to_string().as_bytes()).map(|record| (record.stream, record.time));
        assert_eq!(record(json!({"log": "a"})), Some((Stream::Stdout, None)));
        assert_eq!(record(json!({"log": "a", "stream": "other"})), Some((Stream::Stdout, None)));
        assert_eq!(record(json!({"log": "a", "stream": null, "time": 5})), Some((Stream::Stdout, None)));
        assert_eq!(record(json!({"log": "a", "stream": "stderr", "time": "now"})), Some((Stream::Stderr, None)));
        let written = br#"{"log":"a","stream":"stderr","time":"now"}"#;
        assert_eq!(parse(written).expect("a record").time, None);
    }

    #[test]
    fn garbage_is_no_record() {
        for line in ["", "{", "{}", "null", "text", r#"{"log":5}"#, r#"{"log":null}"#, r#"["a","stdout","b"]"#, "\0\0"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(parse(br#"{"log":"cut o"#), None);
    }

    #[test]
    fn a_record_after_a_crash_is_found() {
        let record = String::from_utf8(line(r"after\n")).expect("text");
        for before in ["\0\0\0", "  ", r#"{"log":"half of a rec"#, r#"{"log":"half\n","stream":"std"#] {
            let found = parse(format!("{before}{record}").into_bytes().leak()).expect("a record");
            assert_eq!(found.text, "after", "{before:?}");
        }
    }

    #[test]
    fn a_cut_record_keeps_what_is_there() {
        let tail = format!(r#"...the end\n","stream":"stderr","attrs":{{"a":"b"}},"time":"{TIME}"}}"#);
        for (head, text) in [(r"a\tbc", "a\tbc"), ("aé\\", "aé"), (r"a\u00", "a"), (r"a\ud83d\ude", "a")] {
            let record = parse_cut(format!(r#"{{"log":"{head}"#).as_bytes(), tail.as_bytes()).expect("a record");
            assert_eq!(record.text, format!("{text}{CUT_MARK}"));
            assert_eq!((record.stream, record.time, record.ends_line), (Stream::Stderr, LogTime::parse(TIME), true));
        }
        let half_a_char = parse_cut(b"{\"log\":\"a\xc3", b"").expect("a record");
        assert_eq!((half_a_char.text.as_ref(), half_a_char.time), (format!("a{CUT_MARK}").as_str(), None));
        let whole_text = parse_cut(br#"{"log":"all\n","attrs":{"huge":"..."#, tail.as_bytes()).expect("a record");
        assert_eq!(whole_text.text, "all");
        assert_eq!(parse_cut(b"zzzz", tail.as_bytes()), None);
    }

    proptest! {
        /// The fast way, the general way and serde agree.
        #[test]
        fn all_ways_agree(
            log in "([a-z\"\\\\/<&é😀\u{2028}\0-\u{1f}]|std|time){0,40}",
            end in "(|\r|\r\n|\n)",
            is_stderr: bool,
        ) {
            let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
            let log = log + &end;
            let json = serde_json::to_string(&log).expect("JSON");
            let written = format!(r#"{{"log":{json},"stream":"{}","time":"{TIME}"}}"#, stream.name());
            let expected = log.strip_suffix('\n').map_or(log.as_str(), |line| line.trim_end_matches('\r'));
            let record = parse_as_written(written.as_bytes()).expect("a record");
            prop_assert_eq!(record.text.as_ref(), expected);
            prop_assert_eq!((record.stream, record.time), (stream, LogTime::parse(TIME)));
            prop_assert_eq!(record.ends_line, log.ends_with('\n'));
            prop_assert_eq!(&parse_any(written.as_bytes()).expect("a record"), &record);
            prop_assert_eq!(&parse(written.as_bytes()).expect("a record"), &record);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse_cut(&bytes, &bytes);
        }

        #[test]
        fn anything_like_a_record_is_read(text in "(\\{\"log\":\"|\",\"stream\":\"std(out|err)|\",\"time\":\"|\"\\}|[\\\\u0-9dnr\"{}é\0])*") {
            let _ = parse(text.as_bytes());
            let _ = parse_cut(text.as_bytes(), text.as_bytes());
        }
    }
}
