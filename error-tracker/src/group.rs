//! A group is an error as people see it: all reports with one fingerprint. Its types, what a report does to it, and what
//! a list of groups can be asked for.

use common::clock::Timestamp;
use common::json::Invalid;
use common::query::{Page, Query};

use crate::activity::Activity;
use crate::fingerprint::Fingerprint;

/// Occurrences kept per group, the newest.
pub(crate) const OCCURRENCES_KEPT: usize = 5;
/// Environment names kept per group; further ones stay on their occurrences.
pub(crate) const ENVIRONMENTS_MAX: usize = 32;
/// What a list shows of a message, bytes: it bounds the memory of a list. The detail has all of it.
pub(crate) const MESSAGE_PREVIEW_BYTES: usize = 1024;

const LIMIT_DEFAULT: i64 = 50;
const LIMIT_MAX: i64 = 200;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The first of its kind.
    Created,
    /// One more of an open group.
    Incremented,
    /// The first of a group that was resolved.
    Reopened,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Created, Self::Incremented, Self::Reopened];

    /// The word in the answer.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Incremented => "incremented",
            Self::Reopened => "reopened",
        }
    }

    /// The outcome of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether somebody should hear of it.
    pub(crate) const fn alerts(self) -> bool {
        !matches!(self, Self::Incremented)
    }
}

/// Which kind of program reports come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Browser,
    Server,
}

impl Source {
    /// The word in the API and in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Server => "server",
        }
    }
}

/// A group in a list.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) id: i64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) project: String,
    pub(crate) exception_type: String,
    /// At most [`MESSAGE_PREVIEW_BYTES`] in a list.
    pub(crate) message: String,
    pub(crate) count: i64,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// None while it is open.
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) source: String,
    /// A JSON array of names.
    pub(crate) environments: String,
    /// None for one that has not been seen since activity is kept.
    pub(crate) activity: Option<Activity>,
}

/// A group with its last occurrences.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) summary: Summary,
    pub(crate) traceback: String,
    /// The newest first.
    pub(crate) occurrences: Vec<Occurrence>,
}

/// One report as kept.
#[derive(Debug)]
pub(crate) struct Occurrence {
    pub(crate) id: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) environment: String,
    pub(crate) request_url: Option<String>,
    pub(crate) request_method: Option<String>,
    pub(crate) request_headers: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) extra: Option<String>,
    /// None when it is the group's.
    pub(crate) traceback: Option<String>,
}

/// Which groups by their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateFilter {
    Open,
    Resolved,
    All,
}

/// By what a list is sorted, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    LastSeen,
    FirstSeen,
    Count,
}

impl Sort {
    /// The column, which is also the word in the API.
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen",
            Self::FirstSeen => "first_seen",
            Self::Count => "count",
        }
    }
}

/// What a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) project: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) source: Option<Source>,
    pub(crate) session_id: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) state: StateFilter,
    /// Part of the type or message, in any case.
    pub(crate) search: Option<String>,
    pub(crate) sort: Sort,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

impl Filter {
    /// Reads the parameters of a list. Empty ones count as absent; numbers out of range are clamped (a limit of 0 or less
    /// is the default), what cannot be read is refused by name.
    pub(crate) fn parse(query: &Query) -> Result<Self, Invalid> {
        let text = |name| query.text(name).map(str::to_owned);
        let page = page(query)?;
        Ok(Self {
            project: text("project"),
            environment: text("environment"),
            source: query.one_of("source", &[("browser", Source::Browser), ("server", Source::Server)])?,
            session_id: text("session_id"),
            since: query.time("since")?,
            state: query.one_of("resolved", RESOLVED_WORDS)?.unwrap_or(StateFilter::Open),
            search: text("search"),
            sort: query.one_of("sort", SORT_WORDS)?.unwrap_or(Sort::LastSeen),
            limit: page.limit,
            offset: page.offset,
        })
    }
}

impl Filter {
    /// Whether every group must be looked at: no index has the order, or what is searched for.
    pub(crate) const fn scans(&self) -> bool {
        self.search.is_some() || !matches!(self.sort, Sort::LastSeen)
    }
}

const SORT_WORDS: &[(&str, Sort)] =
    &[("last_seen", Sort::LastSeen), ("first_seen", Sort::FirstSeen), ("count", Sort::Count)];

/// The stretch of a list that is asked for: 50 rows, or up to 200.
pub(crate) fn page(query: &Query) -> Result<Page, Invalid> {
    query.page(LIMIT_DEFAULT, LIMIT_MAX)
}

const RESOLVED_WORDS: &[(&str, StateFilter)] = &[
    ("true", StateFilter::Resolved),
    ("1", StateFilter::Resolved),
    ("false", StateFilter::Open),
    ("0", StateFilter::Open),
    ("all", StateFilter::All),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<Filter, Invalid> {
        Filter::parse(&Query::parse(query).expect("well-formed"))
    }

    #[track_caller]
    fn page(query: &str, limit: i64, offset: i64) {
        let filter = filter(query).expect("a filter");
        assert_eq!((filter.limit, filter.offset), (limit, offset), "{query}");
    }

    #[test]
    fn numbers_are_clamped() {
        page("", 50, 0);
        page("limit=0&offset=-3", 50, 0);
        page("limit=-1", 50, 0);
        page("limit=1&offset=7", 1, 7);
        page("limit=200", 200, 0);
        page("limit=201", 200, 0);
        page("limit=99999999999999999999", 200, 0);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for query in ["limit=many", "offset=x", "source=mobile", "resolved=maybe", "since=yesterday"] {
            let name = query.split_once('=').expect("a pair").0;
            let detail = filter(query).expect_err(query).detail;
            assert!(detail.starts_with(&format!("parameter '{name}': expected ")), "{detail}");
        }
    }

    #[test]
    fn words() {
        for (query, expected) in [
            ("", StateFilter::Open),
            ("resolved=", StateFilter::Open),
            ("resolved=false", StateFilter::Open),
            ("resolved=0", StateFilter::Open),
            ("resolved=true", StateFilter::Resolved),
            ("resolved=1", StateFilter::Resolved),
            ("resolved=all", StateFilter::All),
        ] {
            assert_eq!(filter(query).expect(query).state, expected, "{query}");
        }
        assert_eq!(filter("source=browser").expect("a filter").source, Some(Source::Browser));
        assert_eq!(filter("project=&search=").expect("a filter").search, None);
    }
}
