//! Reads environment variables into types, and collects what is wrong with them, so that whoever starts a service hears
//! of all mistakes at once. Knows no variable by name.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

/// A secret's file that is larger is no secret but a mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A value that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides `value` from logs and messages.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Everything that is wrong with the environment; one line each.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The environment being read. A bad variable reads as its default until `finish` tells.
pub struct Env {
    variables: HashMap<OsString, OsString>,
    problems: Vec<String>,
}

impl Env {
    /// The environment of this process.
    pub fn process() -> Self {
        Self { variables: std::env::vars_os().collect(), problems: Vec::new() }
    }

    /// An environment made up for a test.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self {
            variables: pairs.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            problems: Vec::new(),
        }
    }

    /// The key that callers must show in a header, which must be there. One that no header can hold would match nothing.
    pub fn required_key(&mut self, name: &'static str) -> Secret {
        let key = self.required_secret(name);
        let text = key.expose();
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || text.trim() != text {
            self.problem(format!("{name}: expected visible ASCII characters without spaces around them"));
        }
        key
    }

    /// A secret that must be there; an empty stand-in with a problem if it is not.
    pub fn required_secret(&mut self, name: &'static str) -> Secret {
        let problems_before = self.problems.len();
        self.secret(name).unwrap_or_else(|| {
            // A file that cannot be read is reported already.
            if self.problems.len() == problems_before {
                self.problem(format!("required environment variable '{name}' is not set (nor is '{name}_FILE')"));
            }
            Secret::new("")
        })
    }

    /// A secret: the value of `NAME`, or what is in the file that `NAME_FILE` names, without the line end.
    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        let path = self.variables.get(OsStr::new(&file_name)).filter(|path| !path.is_empty()).cloned();
        match (self.text(name), path) {
            (Some(_), Some(_)) => {
                self.problem(format!("{name}: expected either {name} or {file_name}, got both"));
                None
            }
            (Some(value), None) => Some(Secret(value)),
            (None, Some(path)) => {
                let path = Path::new(&path);
                let secret = read_secret(path);
                secret.map_err(|error| self.problem(format!("{file_name}: {}: {error}", path.display()))).ok()
            }
            (None, None) => None,
        }
    }

    /// Any text; an empty value counts as unset.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty())?;
        let text = value.to_str().map(str::to_owned);
        if text.is_none() {
            self.problem(format!("{name}: expected UTF-8"));
        }
        text
    }

    /// Any text, or `default` when unset.
    pub fn text_or(&mut self, name: &'static str, default: &str) -> String {
        self.text(name).unwrap_or_else(|| default.to_owned())
    }

    /// A whole number within `range`: `250`, `+250`, `100_000`.
    pub fn integer<T>(&mut self, name: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(name, default, &expected, |text| whole_number(text).filter(|number| range.contains(number)))
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.parsed(name, default, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    /// Texts between commas, trimmed, without the blank ones.
    pub fn list(&mut self, name: &'static str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// One of `words`, in upper or lower case.
    pub fn one_of<T: Copy>(&mut self, name: &'static str, default: T, words: &[(&str, T)]) -> T {
        let expected = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        self.parsed(name, default, &format!("one of {expected}"), |text| {
            words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning)
        })
    }

    /// Adds a problem that the caller found: the variable's name, what was expected, what came.
    pub fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    /// Fails with every problem met.
    pub fn finish(self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = self.text(name) else { return default };
        parse(text.trim()).unwrap_or_else(|| {
            self.problem(format!("{name}: expected {expected}, got {text:?}"));
            default
        })
    }
}

fn whole_number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.starts_with('_') || digits.ends_with('_') {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn read_secret(path: &Path) -> io::Result<Secret> {
    let mut text = String::new();
    File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("expected at most {SECRET_BYTES_MAX} bytes")));
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(io::Error::other("the file is empty"));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::path::PathBuf;

    fn problems(env: Env) -> String {
        env.finish().unwrap_err().to_string()
    }

    /// A file of this test's own, removed at its end.
    struct TempFile(PathBuf);

    impl TempFile {
        fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
            let path = std::env::temp_dir().join(format!("monlight-env-{}-{name}", std::process::id()));
            std::fs::write(&path, content).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[track_caller]
    fn check_integer(text: &str, expected: Result<i16, &str>) {
        let mut env = Env::from_pairs(&[("N", text)]);
        let number = env.integer("N", 5, -10..=1000);
        assert_eq!(number, expected.unwrap_or(5), "{text}");
        assert_eq!(env.finish().map_err(|problems| problems.to_string()), expected.map(drop).map_err(str::to_owned));
    }

    #[test]
    fn reads_integers() {
        check_integer("", Ok(5));
        check_integer("7", Ok(7));
        check_integer(" 7 ", Ok(7));
        check_integer("+7", Ok(7));
        check_integer("-10", Ok(-10));
        check_integer("1_000", Ok(1000));
        check_integer("1001", Err(r#"N: expected a whole number from -10 to 1000, got "1001""#));
        check_integer("-11", Err(r#"N: expected a whole number from -10 to 1000, got "-11""#));
        for text in ["x", "7x", "0x7", "1.5", "_7", "7_", "+_7", "+-7", "++7", "-", "_", "99999999999999999999", " "] {
            check_integer(text, Err(&format!("N: expected a whole number from -10 to 1000, got {text:?}")));
        }
    }

    #[test]
    fn reads_flags_words_lists_and_text() {
        let mut env =
            Env::from_pairs(&[("A", "Yes"), ("B", "off"), ("L", " a, ,b,"), ("W", "WARN"), ("T", " t "), ("E", "")]);
        assert!(env.flag("A", false) && !env.flag("B", true) && env.flag("NONE", true) && !env.flag("E", false));
        assert_eq!(env.list("L"), ["a", "b"]);
        assert!(env.list("NONE").is_empty());
        assert_eq!(env.one_of("W", 1, &[("info", 1), ("warn", 2)]), 2);
        assert_eq!(env.one_of("NONE", 1, &[("warn", 2)]), 1);
        assert_eq!(env.text("T").unwrap(), " t ");
        assert_eq!(env.text("E"), None);
        assert_eq!(env.text_or("E", "default"), "default");
        env.finish().unwrap();
    }

    #[test]
    fn tells_every_problem_at_once() {
        let mut env = Env::from_pairs(&[("A", "maybe"), ("N", "70000"), ("W", "loud\n")]);
        assert!(env.flag("A", true));
        assert_eq!(env.integer("N", 8000_u16, 1..=65535), 8000);
        assert_eq!(env.one_of("W", 0, &[("info", 1), ("warn", 2)]), 0);
        assert_eq!(env.required_secret("KEY").expose(), "");
        env.problem("X: expected Y".to_owned());
        let expected = r#"A: expected true or false, got "maybe"
N: expected a whole number from 1 to 65535, got "70000"
W: expected one of info, warn, got "loud\n"
required environment variable 'KEY' is not set (nor is 'KEY_FILE')
X: expected Y"#;
        assert_eq!(problems(env), expected);
    }

    #[test]
    fn reads_secrets_from_files() {
        let file = TempFile::new("secret", "s3cret with spaces \r\n");
        let mut env = Env::from_pairs(&[("A", "plain"), ("A_FILE", ""), ("B", ""), ("B_FILE", file.path())]);
        assert_eq!(env.required_secret("A").expose(), "plain");
        assert_eq!(env.secret("B").unwrap().expose(), "s3cret with spaces ");
        assert!(env.secret("C").is_none());
        assert_eq!(env.text("B"), None);
        env.finish().unwrap();
    }

    #[test]
    fn refuses_secret_files_that_hold_none() {
        for (name, content, reason) in [
            ("empty", vec![b'\n'], "the file is empty"),
            ("large", vec![b'x'; 65537], "expected at most 65536 bytes"),
            ("binary", vec![0xff], "valid UTF-8"),
        ] {
            let file = TempFile::new(name, content);
            let mut env = Env::from_pairs(&[("A_FILE", file.path())]);
            assert!(env.secret("A").is_none());
            let text = problems(env);
            assert!(text.starts_with(&format!("A_FILE: {}: ", file.path())) && text.contains(reason), "{text}");
        }
        let mut env = Env::from_pairs(&[("A_FILE", "/nowhere/secret")]);
        env.required_secret("A");
        let text = problems(env);
        assert!(text.starts_with("A_FILE: /nowhere/secret: No such file") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn never_prints_a_secret() {
        let mut env = Env::from_pairs(&[("A", "s3cret"), ("A_FILE", "/run/secrets/a")]);
        assert_eq!(env.required_secret("A").expose(), "");
        assert_eq!(problems(env), "A: expected either A or A_FILE, got both");
        assert_eq!(format!("{0} {0:?}", Secret::new("s3cret")), "*** ***");
    }

    #[cfg(unix)]
    #[test]
    fn names_a_variable_that_is_not_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let mut env = Env::from_pairs(&[]);
        env.variables.insert("A".into(), OsStr::from_bytes(b"s3cret\xff").into());
        env.required_secret("A");
        assert_eq!(problems(env), "A: expected UTF-8");
    }
}
