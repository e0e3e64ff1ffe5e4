//! How grave an entry is, told from its text: programs say it in many ways, and the first that is understood counts.

use std::fmt;

use memchr::{memchr, memchr_iter, memmem, memrchr};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ansi::without_colours;
use crate::entry::{Level, Stream};

/// How much of a JSON text is parsed; loggers write the level long before.
const JSON_BYTES_MAX: usize = 16 << 10;

/// The members that hold a level; the first found here counts. The last is that of Elastic's common schema.
const JSON_NAMES: [&str; 4] = ["level", "severity", "lvl", "log.level"];

/// The level's word is in the object itself, or in one of its members.
const JSON_DEPTH_MAX: usize = 2;

const WORDS: [(&str, Level); 9] = [
    ("info", Level::Info),
    ("error", Level::Error),
    ("warning", Level::Warning),
    ("warn", Level::Warning),
    ("debug", Level::Debug),
    ("err", Level::Error),
    ("critical", Level::Critical),
    ("fatal", Level::Critical),
    ("crit", Level::Critical),
];
const WORD_BYTES_MIN: usize = 3;
const WORD_BYTES_MAX: usize = 8;

/// The level of a whole message; what says nothing has the stream's, since stderr is for errors.
pub(crate) fn detect(message: &str, stream: Stream) -> Level {
    let text = without_colours(message);
    let trimmed = text.trim_ascii_start();
    in_json(trimmed)
        .or_else(|| in_brackets(&text))
        .or_else(|| in_assignment(&text))
        .or_else(|| in_prefix(trimmed))
        .or_else(|| in_klog_header(trimmed))
        .unwrap_or(match stream {
            Stream::Stdout => Level::Info,
            Stream::Stderr => Level::Error,
        })
}

pub(crate) fn word(text: &[u8]) -> Option<Level> {
    if !(WORD_BYTES_MIN..=WORD_BYTES_MAX).contains(&text.len()) {
        return None;
    }
    WORDS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)).map(|&(_, level)| level)
}

/// The numbers of pino and bunyan: 10 is trace, 60 is fatal, and a program's own lie between.
fn number(number: u64) -> Option<Level> {
    match number {
        10..30 => Some(Level::Debug),
        30..40 => Some(Level::Info),
        40..50 => Some(Level::Warning),
        50..60 => Some(Level::Error),
        60..=100 => Some(Level::Critical),
        _ => None,
    }
}

/// `[error]`, anywhere. An opening bracket that is never closed ends the search.
fn in_brackets(text: &str) -> Option<Level> {
    let bytes = text.as_bytes();
    let end = memrchr(b']', bytes)?;
    memchr_iter(b'[', &bytes[..end]).find_map(|open| {
        let after = &bytes[open + 1..];
        let close = memchr(b']', &after[..after.len().min(WORD_BYTES_MAX + 1)])?;
        word(&after[..close])
    })
}

/// The first `level=word` anywhere, then the first `LEVEL=word`, then the first `Level=word`.
fn in_assignment(text: &str) -> Option<Level> {
    let bytes = text.as_bytes();
    let mut values = [None; 3];
    for equals in memchr_iter(b'=', bytes) {
        let spelling = match bytes[..equals].last_chunk() {
            Some(b"level") => 0,
            Some(b"LEVEL") => 1,
            Some(b"Level") => 2,
            _ => continue,
        };
        values[spelling].get_or_insert(&bytes[equals + 1..]);
    }
    values.into_iter().flatten().find_map(|value| {
        let value = &value[..value.len().min(WORD_BYTES_MAX + 1)];
        let end = value.iter().position(|byte| b" \t\n,\"".contains(byte));
        word(&value[..end.unwrap_or(value.len())])
    })
}

/// `ERROR: text`.
fn in_prefix(text: &str) -> Option<Level> {
    let start = &text.as_bytes()[..text.len().min(WORD_BYTES_MAX + 1)];
    word(&start[..memchr(b':', start)?])
}

/// `E0123 12:34:56.789012 …`: a letter, month and day, the time.
fn in_klog_header(text: &str) -> Option<Level> {
    const SHAPE: &[u8] = b"0000 00:00:00";
    let (letter, header) = text.as_bytes().split_first()?;
    let level = match letter {
        b'I' => Level::Info,
        b'W' => Level::Warning,
        b'E' => Level::Error,
        b'F' => Level::Critical,
        _ => return None,
    };
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    let header = header.get(..SHAPE.len())?;
    header.iter().zip(SHAPE).all(fits).then_some(level)
}

/// A member named like a level, in an object or one object deeper. A text that is not whole JSON is read as far as it
/// is, and when that tells nothing, by its looks.
fn in_json(text: &str) -> Option<Level> {
    if !text.starts_with('{') {
        return None;
    }
    let start = &text[..text.floor_char_boundary(JSON_BYTES_MAX)];
    let mut best = None;
    let object = Node { best: &mut best, rank: None, depth: 0 };
    let outcome = object.deserialize(&mut serde_json::Deserializer::from_str(start));
    let level = best.map(|(_, level)| level);
    if outcome.is_err() { level.or_else(|| by_looks(start)) } else { level }
}

/// The first `"level":"word"` of a text.
fn by_looks(text: &str) -> Option<Level> {
    ["\"level\"", "\"severity\"", "\"lvl\""].into_iter().find_map(|name| {
        let after = &text[memmem::find(text.as_bytes(), name.as_bytes())? + name.len()..];
        let value = after.trim_ascii_start().strip_prefix(':')?.trim_ascii_start().strip_prefix('"')?;
        word(value.split_once('"')?.0.as_bytes())
    })
}

/// The best level found so far, with its rank: outer before inner, and then in the order of [`JSON_NAMES`].
type Best = Option<(usize, Level)>;

/// A value within the object, or the object itself; it is read for the levels in it.
struct Node<'b> {
    best: &'b mut Best,
    /// Of a level that would be found here; none when the value's name is another.
    rank: Option<usize>,
    depth: usize,
}

impl Node<'_> {
    /// Ends the parsing with an error when nothing better can come.
    fn found<E: Error>(self, level: Option<Level>) -> Result<(), E> {
        if let (Some(rank), Some(level)) = (self.rank, level)
            && self.best.is_none_or(|(best, _)| rank < best)
        {
            *self.best = Some((rank, level));
            if rank == 0 {
                return Err(E::custom("found"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found(word(text.as_bytes()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.found(number(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.found(number(value as u64))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(rank) = members.next_key_seed(Name)? {
            let rank = rank.map(|rank| self.depth * JSON_NAMES.len() + rank);
            let depth = self.depth + 1;
            if rank.is_some() || depth < JSON_DEPTH_MAX {
                members.next_value_seed(Node { best: &mut *self.best, rank, depth })?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A member's name; its place in [`JSON_NAMES`].
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(JSON_NAMES.iter().position(|known| *known == name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(message: &str, stream: Stream, level: Level) {
        assert_eq!(detect(message, stream), level, "{message}");
    }

    /// On both streams, so that it is not the stream's default.
    #[track_caller]
    fn says(message: &str, level: Level) {
        check(message, Stream::Stdout, level);
        check(message, Stream::Stderr, level);
    }

    #[track_caller]
    fn says_nothing(message: &str) {
        check(message, Stream::Stdout, Level::Info);
        check(message, Stream::Stderr, Level::Error);
    }

    /// The contract's worked examples, in its order.
    #[test]
    fn the_contract() {
        use Level::{Critical, Debug, Error, Info, Warning};
        use Stream::{Stderr, Stdout};
        check("2025-01-20 [INFO] Server started", Stdout, Info);
        check("[warn] disk", Stdout, Warning);
        check("[FATAL] dead", Stdout, Critical);
        check("ts=1 level=info msg=hello", Stdout, Info);
        check("LEVEL=DEBUG x", Stdout, Debug);
        check("level=error,next", Stdout, Error);
        check("level=\"error\" msg", Stdout, Info);
        check("ERROR: refused", Stdout, Error);
        check("INFO:     127.0.0.1:45678 - \"GET / HTTP/1.1\" 200", Stdout, Info);
        check("CRIT:x", Stdout, Critical);
        check(r#"{"ts":"x","level":"error","msg":"m"}"#, Stdout, Error);
        check(r#"{"severity":"error","msg":"m"}"#, Stdout, Error);
        check("plain text", Stderr, Error);
        check("[123] [ERROR] two brackets", Stdout, Error);
        check("[TRACE] x", Stdout, Info);
        check("2025-01-20 10:00:00 ERROR something", Stdout, Info);
        check("INFO [main] started [ERROR]", Stdout, Error);
        check("FATAL: pg", Stderr, Critical);
        check("LOG:  pg checkpoint", Stderr, Error);
        check("[unclosed level=error", Stdout, Error);
        check("sublevel=error here", Stdout, Error);
        check("panic: runtime error", Stdout, Info);
    }

    #[test]
    fn brackets() {
        says("x [Warning] y", Level::Warning);
        says("[a] [] [toolongword] [err]", Level::Error);
        says("[[debug]]", Level::Debug);
        says("é[crit]é", Level::Critical);
        says("first line\n  second [warn]", Level::Warning);
        says_nothing("[unclosed error");
        says_nothing("error] [notice");
        says_nothing("[err or]");
    }

    #[test]
    fn assignments() {
        says("LEVEL=debug level=warn", Level::Warning);
        says("level=odd Level=crit", Level::Critical);
        says("level=warning", Level::Warning);
        says("level=debug\nnext line", Level::Debug);
        says_nothing("level=odd level=error");
        says_nothing("level=");
        says_nothing("level= error");
        says_nothing("lEvEl=error");
        says_nothing("level=warnings");
    }

    #[test]
    fn prefixes() {
        says("  debug: x", Level::Debug);
        says("\n\nWarning: x", Level::Warning);
        says("critical:", Level::Critical);
        says_nothing("x ERROR: y");
        says_nothing("ERRORS: y");
        says_nothing("ValueError: y");
        says_nothing("error");
    }

    #[test]
    fn klog() {
        says("I0123 12:34:56.789012    1234 server.go:12] started", Level::Info);
        says("W1231 23:59:59.000000 1 a.go:1] x", Level::Warning);
        says("E0123 12:34:56.789012 1 a.go:1] x", Level::Error);
        says("F0123 12:34:56.789012 1 a.go:1] x", Level::Critical);
        says_nothing("E0123 is a code");
        says_nothing("E0123 12:34");
        says_nothing("X0123 12:34:56.789012 1 a.go:1] x");
    }

    #[test]
    fn json() {
        says(r#" {"level":"WARN"}"#, Level::Warning);
        says(r#"{"lvl":"debug"}"#, Level::Debug);
        says(r#"{"log.level":"error","message":"Elastic"}"#, Level::Error);
        says(r#"{"message":"x","log":{"level":"fatal"}}"#, Level::Critical);
        says(r#"{"log":{"level":"fatal"},"severity":"info"}"#, Level::Info);
        says(r#"{"severity":"info","level":"error"}"#, Level::Error);
        says(r#"{"level":"odd","severity":"error"}"#, Level::Error);
        says(r#"{"\u006cevel":"error"}"#, Level::Error);
        says(r#"{"level":"odd","msg":"[warn] x"}"#, Level::Warning);
        says_nothing(r#"{"msg":"\"level\":\"error\""}"#);
        says_nothing(r#"{"a":{"b":{"level":"error"}}}"#);
        says_nothing(r#"{"list":[{"level":"error"}],"a":null,"b":true,"c":-1,"d":1.5}"#);
        says_nothing("{}");
    }

    #[test]
    fn json_numbers() {
        let levels = [(10, Level::Debug), (20, Level::Debug), (30, Level::Info), (40, Level::Warning)];
        for (number, level) in levels.into_iter().chain([(50, Level::Error), (60, Level::Critical), (35, Level::Info)])
        {
            says(&format!(r#"{{"level":{number},"time":1,"msg":"x"}}"#), level);
        }
        says_nothing(r#"{"level":3}"#);
        says_nothing(r#"{"level":-30}"#);
    }

    #[test]
    fn broken_json() {
        says(r#"{"msg":"x", "level" : "error", "#, Level::Error);
        says(r#"{"level":"error"} and more"#, Level::Error);
        says(r#"{'a':1, "level":"debug"}"#, Level::Debug);
        says(r#"{'a':1, "severity":"debug"}"#, Level::Debug);
        let long = format!(r#"{{"log":{{"level":"warn"}},"text":"{}"}}"#, "é".repeat(JSON_BYTES_MAX));
        says(&long, Level::Warning);
        says_nothing(r#"{"level":"#);
    }

    #[test]
    fn colours_do_not_matter() {
        says("\x1b[32mINFO\x1b[0m:     started", Level::Info);
        says("2025-01-20 [\x1b[31merror\x1b[39m] x", Level::Error);
        says("\x1b[1m{\"level\":\"warn\"}\x1b[0m", Level::Warning);
        says("\x1b[36mlevel\x1b[0m=debug", Level::Debug);
        says_nothing("\x1b[31mred\x1b[0m");
    }

    #[test]
    fn hostile_input_takes_linear_time() {
        for piece in ["[", "[]", "level=", "{", "{\"a\":", "{\"level\":", "\x1b[", "=", "[[[[[[[[]"] {
            let text = piece.repeat((256 << 10) / piece.len());
            let began = Instant::now();
            detect(&text, Stream::Stdout);
            assert!(began.elapsed() < Duration::from_secs(5), "{piece:?} took {:?}", began.elapsed());
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_level(text in "([{}\\[\\]:\",=é \n]|level|error|\x1b\\[|E0123 )*") {
            detect(&text, Stream::Stdout);
        }

        #[test]
        fn a_level_in_json_is_found_wherever_it_stands(before in "[a-z]{0,5}", after in any::<u32>(), nested: bool) {
            let object = format!(r#"{{"x{before}":[{after},"é"],"level":"warn","y":{{"z":{after}}}}}"#);
            let text = if nested { format!(r#"{{"a":"{before}","in":{object}}}"#) } else { object };
            prop_assert_eq!(detect(&text, Stream::Stderr), Level::Warning);
        }
    }
}
