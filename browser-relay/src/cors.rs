//! Which web pages may talk to the relay: origins as the browser names them, matched against the operator's list.

/// Entries in a list; each is looked at for every request.
pub(crate) const ORIGINS_MAX: usize = 32;
/// Longer than any host name with a scheme and a port.
pub(crate) const ORIGIN_BYTES_MAX: usize = 256;

/// A list of allowed origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// A lone `*`.
    Any,
    Exact(String),
    /// What stands before and after the first `*`.
    Wildcard {
        prefix: String,
        suffix: String,
    },
}

impl Origins {
    /// Reads entries as they stand in `CORS_ORIGINS`; the error names what is wrong with one.
    pub(crate) fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, String> {
        if entries.len() > ORIGINS_MAX {
            return Err(format!("expected at most {ORIGINS_MAX} origins, got {}", entries.len()));
        }
        entries.iter().map(|entry| Pattern::parse(entry.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a page of this origin may use the relay.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(origin))
    }

    /// Whether nothing is allowed.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries as they were given.
    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.iter().map(Pattern::text).collect()
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, String> {
        let entry = entry.trim();
        if entry.len() > ORIGIN_BYTES_MAX {
            return Err(format!("expected an origin of at most {ORIGIN_BYTES_MAX} bytes, got {}", entry.len()));
        }
        if entry == "*" {
            return Ok(Self::Any);
        }
        // `null` is what sandboxed pages and files are called.
        let looks_right = entry == "null" || entry.split_once("://").is_some_and(|(_, host)| !host.is_empty());
        if !looks_right || entry.ends_with('/') || !entry.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("expected an origin such as https://example.com, without a path, got {entry:?}"));
        }
        // Lists are stored with commas between their entries: `https://a,*` would come back as two.
        if entry.contains(',') {
            return Err(format!("expected one origin per entry, got {entry:?}"));
        }
        Ok(match entry.split_once('*') {
            Some((prefix, suffix)) => Self::Wildcard { prefix: prefix.into(), suffix: suffix.into() },
            None => Self::Exact(entry.into()),
        })
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => origin == exact,
            Self::Wildcard { prefix, suffix } => {
                let middle = origin.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()));
                middle.is_some_and(|middle| !middle.is_empty() && !middle.contains(['/', ':', '@']))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Any => "*".into(),
            Self::Exact(exact) => exact.clone(),
            Self::Wildcard { prefix, suffix } => format!("{prefix}*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &str, origin: &str, expected: bool) {
        let origins = Origins::parse(&[entry]).expect("an origin");
        assert_eq!(origins.allow(origin), expected, "{entry} {origin}");
        assert_eq!(origins.entries(), [entry]);
    }

    #[test]
    fn exact_entries_match_byte_by_byte() {
        check("https://example.com", "https://example.com", true);
        check("https://example.com", "https://Example.com", false);
        check("https://example.com", "http://example.com", false);
        check("https://example.com", "https://example.com:8443", false);
        check("https://example.com", "https://example.com.evil.org", false);
        check("null", "null", true);
    }

    #[test]
    fn a_star_stands_for_a_part_of_a_name() {
        check("https://*.example.com", "https://x.example.com", true);
        check("https://*.example.com", "https://a.b.example.com", true);
        check("https://*.example.com", "https://example.com", false);
        check("https://*.example.com", "https://.example.com", false);
        check("https://*.example.com", "http://x.example.com", false);
        check("https://*.example.com", "https://x.example.com:8443", false);
        check("https://*.example.com", "https://evil.org/.example.com", false);
        check("https://*.example.com", "https://u@.example.com", false);
        check("http://localhost:*", "http://localhost:3000", true);
        check("http://localhost:*", "http://localhost:", false);
        check("https://a*b*", "https://axb*", true);
        check("https://a*b*", "https://axbx", false);
    }

    #[test]
    fn a_lone_star_is_any_origin() {
        check("*", "https://example.com:8443", true);
        check("*", "null", true);
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for entry in
            ["example.com", "https://", "https://example.com/", "https://exämple.com", "https://a b", "https://a,*", ""]
        {
            assert!(Origins::parse(&[entry]).is_err(), "{entry}");
        }
        assert!(Origins::parse(&["x".repeat(ORIGIN_BYTES_MAX + 1)]).is_err());
        assert!(Origins::parse(&vec!["*"; ORIGINS_MAX + 1]).is_err());
        assert!(Origins::parse::<&str>(&[]).expect("none").entries().is_empty());
    }
}
