//! Which reports are the same error: project, type, and the place where it was raised. The algorithm is the original's,
//! byte for byte, so that groups live on; what it does with odd input is part of it.

use std::fmt;

use md5::{Digest as _, Md5};
use memchr::memchr_iter;

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
    // Few letters of a traceback are an F, so that looking for them first is quicker than looking for the mark.
    while let Some(at) = memchr_iter(b'F', rest.as_bytes()).find(|at| rest[*at..].starts_with(MARK)) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn of(traceback: &str) -> Fingerprint {
        Fingerprint::of("p", "E", traceback)
    }

    /// The fingerprint of a key that was written out by hand.
    fn of_key(key: &str) -> Fingerprint {
        Fingerprint(Md5::digest(key).into())
    }

    #[track_caller]
    fn check(traceback: &str, place: &str) {
        assert_eq!(of(traceback), of_key(&format!("p:E:{place}")), "{traceback:?}");
    }

    /// The worked examples of the contract with the original, one file each.
    #[test]
    fn golden_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fingerprint");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let path = entry.expect("an entry").path();
            let case: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
            let text = |name: &str| case[name].as_str().expect(name);
            let fingerprint = Fingerprint::of(text("project"), text("exception_type"), text("traceback"));
            assert_eq!(fingerprint.to_string(), text("fingerprint"), "{}", path.display());
            assert_eq!(fingerprint, of_key(text("key")), "{}", path.display());
            count += 1;
        }
        assert_eq!(count, 10);
    }

    #[test]
    fn odd_input() {
        // A malformed mark hides a good one on its line, not on the next.
        check("File \"a\" File \"b\", line 1\nFile \"c\", line 2", "c:2");
        check("File \"a\" File \"b\", line 1", "File \"a\" File \"b\", line 1");
        check("File \"a\", line 1 File \"b\", line 2", "b:2");
        check("File \"a\", line x\nat f (b.js:3:4)", "b.js:3");
        // The line of the message reads like a frame.
        check("Error: failed at step (x:9)\n    at f (a.js:1:2)", "x:9");
        check("at f (eval at g (a.js:1:2), b.js:3:4)", "eval at g (a.js:1");
        // Parentheses the wrong way round: the whole rest is the candidate.
        check("at f) (a.js:1:2", "f) (a.js:1");
        check("at :5\n@:6\n@x:7", "x:7");
        check("@:7:8", ":7:8");
        check("  \t at a.js:1 \r\n", "a.js:1");
        check("a.js:1:2", "a.js:1:2");
    }

    #[test]
    fn the_column_does_not_matter() {
        assert_eq!(of("at f (a.js:1:2)"), of("at g (a.js:1:99)"));
        assert_ne!(of("at f (a.js:1:2)"), of("at f (a.js:2:2)"));
    }

    /// A quadratic search would take minutes for the largest body.
    #[test]
    fn hostile_input_takes_linear_time() {
        for piece in ["File \"", "File \"a\"", "at (", "a@", ":1:1", "(", "\n", "at a:", "File \"\n"] {
            let text = piece.repeat((256 << 10) / piece.len());
            let began = Instant::now();
            of(&text);
            assert!(began.elapsed() < Duration::from_secs(5), "{piece:?} took {:?}", began.elapsed());
        }
    }

    proptest! {
        #[test]
        fn only_the_column_does_not_matter(
            file in "[a-z./:?&=-]{0,20}[a-z/]",
            line in "[0-9]{1,12}",
            columns in ("[0-9]{1,12}", "[0-9]{1,12}"),
        ) {
            let expected = of_key(&format!("p:E:{file}:{line}"));
            for column in [columns.0, columns.1] {
                prop_assert_eq!(of(&format!("Error\n    at f ({file}:{line}:{column})\n    at g (b.js:1:1)")), expected);
                prop_assert_eq!(of(&format!("f@{file}:{line}:{column}\r\ng@b.js:1:1")), expected);
            }
            prop_assert_eq!(of(&format!("\tat A.b({file}:{line})")), expected);
            prop_assert_eq!(of(&format!("File \"b.py\", line 1\n  File \"{file}\", line {line}, in f\n")), expected);
        }

        #[test]
        fn any_text_has_a_fingerprint(text in "(File \"|, line |at |[@():0-9a\n\t\"é])*") {
            prop_assert_eq!(of(&text).to_string().len(), 32);
        }
    }
}
