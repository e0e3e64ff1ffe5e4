//! Walks over JSON text that is known to be valid, and decodes its strings in place: a map of 5 MB is not held twice.

use std::ops::Range;

use memchr::{memchr, memchr2};

/// The elements of an array, each as the range of its text.
pub(super) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

/// Walks over the array that begins at the start of `text`.
pub(super) const fn elements(text: &[u8]) -> Elements<'_> {
    Elements { text, at: 1 }
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let element = next_element(self.text, self.at)?;
        self.at = element.end;
        Some(element)
    }
}

/// The element behind `at`, which is behind a `[` or another element; none where the array or the text ends.
pub(super) fn next_element(text: &[u8], at: usize) -> Option<Range<usize>> {
    let gap = text.get(at..)?.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b','))?;
    let start = at + gap;
    (text[start] != b']').then(|| start..value_end(text, start))
}

/// Where the value that begins at `start` ends, at the latest with the text.
fn value_end(text: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < text.len() {
        match text[at] {
            b'"' => at = string_end(text, at),
            b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
            byte => {
                match byte {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
        }
    }
    at.max(start + 1)
}

/// Where the string that opens at `open` ends, its quotes included.
fn string_end(text: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text[at + found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
    text.len()
}

/// Decodes the string whose inside is at `inside` to `to`, which is not behind it; how long it then is.
pub(super) fn unescape(text: &mut [u8], inside: Range<usize>, to: usize) -> usize {
    let (mut read, mut write) = (inside.start, to);
    while read < inside.end {
        let plain = memchr(b'\\', &text[read..inside.end]).unwrap_or(inside.end - read);
        if read != write {
            text.copy_within(read..read + plain, write);
        }
        read += plain;
        write += plain;
        if read < inside.end {
            let (character, taken) = escaped(&text[read..inside.end]);
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            text[write..write + bytes.len()].copy_from_slice(bytes);
            read += taken;
            write += bytes.len();
        }
    }
    write - to
}

/// What an escape means, and its length. It is never shorter than what it means.
fn escaped(text: &[u8]) -> (char, usize) {
    let character = match text.get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return escaped_unicode(text),
        Some(other) if other.is_ascii() => char::from(*other),
        _ => '?',
    };
    (character, text.len().min(2))
}

fn escaped_unicode(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
            let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(code).unwrap_or('?'), 12)
        }
        (Some(code), _) => (char::from_u32(code).unwrap_or('?'), 6),
        (None, _) => ('?', text.len().min(2)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn check_elements(text: &str, expected: &[&str]) {
        let found: Vec<_> = elements(text.as_bytes()).map(|range| &text[range]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn elements_of_arrays() {
        check_elements("[]", &[]);
        check_elements("[ ]", &[]);
        check_elements(
            r#"["a","b\"]",null , 12,{"a":[1,"]"]} ,[[],{}],true]"#,
            &[r#""a""#, r#""b\"]""#, "null", "12", r#"{"a":[1,"]"]}"#, "[[],{}]", "true"],
        );
        // Only a piece of the text is here.
        check_elements(r#"["a","bcd"#, &[r#""a""#, r#""bcd"#]);
        check_elements(r#"["a",""#, &[r#""a""#, r#"""#]);
    }

    fn unescaped(json: &str) -> String {
        let mut text = json.as_bytes().to_vec();
        let length = unescape(&mut text, 1..json.len() - 1, 0);
        text.truncate(length);
        String::from_utf8(text).expect("UTF-8")
    }

    proptest! {
        #[test]
        fn strings_are_what_serde_says(text in "\\PC{0,20}[\\x00-\\x7f]{0,20}\\PC{0,5}") {
            let json = serde_json::to_string(&text).expect("JSON");
            prop_assert_eq!(unescaped(&json), &*text);
            let escaped = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            prop_assert_eq!(unescaped(&format!("\"{escaped}\"")), text);
        }

        #[test]
        fn elements_are_what_serde_says(values in proptest::collection::vec("[\\x00-\\x7f]{0,9}", 0..9), pretty: bool) {
            let nested: Vec<Value> = values.iter().map(|value| serde_json::json!([value, {value: 1}])).collect();
            let json = if pretty { serde_json::to_string_pretty(&nested) } else { serde_json::to_string(&nested) };
            let json = json.expect("JSON");
            let found: Vec<Value> =
                elements(json.as_bytes()).map(|range| serde_json::from_str(&json[range]).expect("JSON")).collect();
            prop_assert_eq!(found, nested);
        }

        #[test]
        fn anything_else_ends_too(text in "[\\[\\]{}\",\\\\u0a ]{0,30}") {
            let text = format!("[{text}");
            let count = elements(text.as_bytes()).take(100).count();
            prop_assert!(count <= 40);
        }
    }
}
