//! Which reports are the same error: project, type, and the place where it was raised. The algorithm is the original's,
//! byte for byte, so that groups live on; what it does with odd input is part of it.

use std::fmt;

use md5::{Digest as _, Md5};

/// MD5 of `project:type:file:line`, or of `project:type:traceback` when no place is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a report.
    pub(crate) fn of(project: &str, exception_type: &str, traceback: &str) -> Self {
        let mut hash = Md5::new();
        for part in [project, ":", exception_type, ":"] {
            hash.update(part);
        }
        match python_place(traceback).or_else(|| script_place(traceback)) {
            Some(Place { file, line }) => {
                for part in [file, ":", line] {
                    hash.update(part);
                }
            }
            None => hash.update(traceback),
        }
        Self(hash.finalize().into())
    }

    /// As stored.
    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From a stored blob; an original's file may hold another length, which is then cut or padded with zeros.
    pub(crate) fn from_stored(bytes: &[u8]) -> Self {
        let mut array = [0; 16];
        let count = bytes.len().min(16);
        array[..count].copy_from_slice(&bytes[..count]);
        Self(array)
    }
}

/// Lower-case hex, 32 digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where an error was raised; the line is kept as the text it was.
#[derive(Debug, PartialEq)]
struct Place<'a> {
    file: &'a str,
    line: &'a str,
}

/// The last `File "…", line N` of the whole text: Python prints the innermost frame, and of chained errors the outermost,
/// last.
fn python_place(traceback: &str) -> Option<Place<'_>> {
    const MARK: &str = "File \"";
    let mut last = None;
    let mut rest = traceback;
    while let Some(at) = rest.find(MARK) {
        let after = &rest[at + MARK.len()..];
        if let Some((place, behind)) = python_frame(after) {
            last = Some(place);
            rest = behind;
        } else {
            // A malformed mark: the rest of its line is skipped, as the original does.
            rest = after.split_once('\n').map_or("", |(_, next_line)| next_line);
        }
    }
    last
}

/// Reads `name", line N` and returns what follows the digits.
fn python_frame(text: &str) -> Option<(Place<'_>, &str)> {
    let (file, after) = text.split_once('"')?;
    let digits = after.strip_prefix(", line ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    (end > 0).then(|| (Place { file, line: &digits[..end] }, &digits[end..]))
}

/// The first line that names a place in the form of JavaScript engines or Java.
fn script_place(traceback: &str) -> Option<Place<'_>> {
    traceback.split('\n').find_map(|line| candidate(trim(line)).and_then(place_of))
}

/// The part of a line that may be a place.
fn candidate(line: &str) -> Option<&str> {
    let Some((_, rest)) = line.split_once("at ") else {
        return line.split_once('@').map(|(_, rest)| rest);
    };
    match (rest.find('('), rest.find(')')) {
        (Some(open), Some(close)) if open < close => Some(&rest[open + 1..close]),
        _ => Some(rest),
    }
}

/// `file:line:column` or `file:line`; the column is dropped.
fn place_of(candidate: &str) -> Option<Place<'_>> {
    let (before, last) = split_number(trim(candidate))?;
    Some(match split_number(before) {
        Some((file, line)) => Place { file, line },
        None => Place { file: before, line: last },
    })
}

/// Splits `x:12` where `x` is not empty.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let (before, digits) = text.rsplit_once(':')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (is_number && !before.is_empty()).then_some((before, digits))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r'])
}
