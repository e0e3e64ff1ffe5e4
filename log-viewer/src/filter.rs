//! Which entries are asked for: the parameters of lists, exports and live tails.

use std::fmt;

use common::json::Invalid;
use common::query::{self, Query};

use crate::ansi::without_colours;
use crate::entry::{Entry, Level, LogTime};
use crate::level;
use crate::search::{self, Needle, SEARCH_BYTES_MAX};

const LIMIT_DEFAULT: i64 = 100;
const LIMIT_MAX: i64 = 500;
const DAY_NANOS: i64 = 24 * 3600 * 1_000_000_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The container's exact name.
    pub(crate) container: Option<String>,
    pub(crate) levels: Levels,
    /// Words to look up, as typed.
    pub(crate) search: Option<String>,
    /// What was typed to be searched for has no words: it is one of the needles instead.
    pub(crate) is_search_wordless: bool,
    /// Parts of the message.
    pub(crate) needles: Vec<Needle>,
    pub(crate) since: Option<LogTime>,
    /// The last moment that counts.
    pub(crate) until: Option<LogTime>,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    /// Only what comes after this place in the list.
    pub(crate) before: Option<Place>,
}

impl Filter {
    /// Reads the parameters. Empty ones count as absent; numbers out of range are clamped (a limit of 0 or less is the
    /// default), what cannot be read is refused by name.
    pub(crate) fn parse(query: &Query) -> Result<Self, Invalid> {
        let page = query.page(LIMIT_DEFAULT, LIMIT_MAX)?;
        let search = short("search", query.text_of_any(&["search", "q"]))?;
        let mut needles: Vec<Needle> =
            short("contains", query.text("contains"))?.map(Needle::new).into_iter().collect();
        let is_search_wordless = search.is_some_and(|text| !search::has_words(text));
        if let Some(text) = search.filter(|_| is_search_wordless) {
            needles.push(Needle::new(text));
        }
        Ok(Self {
            container: query.text("container").map(str::to_owned),
            levels: query.text("level").map_or(Ok(Levels::ALL), Levels::parse)?,
            search: search.filter(|_| !is_search_wordless).map(str::to_owned),
            is_search_wordless,
            needles,
            since: time(query, "since")?,
            until: until(query)?,
            limit: page.limit as usize,
            offset: page.offset.min(i64::from(u32::MAX)) as usize,
            before: query.parsed("before", "the 'next' of an answer", Place::parse)?,
        })
    }

    /// Whether only the index of words can tell if an entry is meant.
    pub(crate) const fn needs_index(&self) -> bool {
        self.search.is_some()
    }

    /// Whether an entry is meant, as far as can be told without the index.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        self.container.as_ref().is_none_or(|container| *container == entry.container)
            && self.levels.has(entry.level)
            && self.since.is_none_or(|since| since <= entry.time)
            && self.until.is_none_or(|until| entry.time <= until)
            && self.holds_needles(&entry.message)
    }

    /// Whether a message holds all that it must.
    pub(crate) fn holds_needles(&self, message: &str) -> bool {
        if self.needles.is_empty() {
            return true;
        }
        let plain = without_colours(message);
        self.needles.iter().all(|needle| needle.is_in(&plain))
    }
}

/// Some of the levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    bits: u8,
}

impl Levels {
    pub(crate) const ALL: Self = Self { bits: (1 << Level::ALL.len()) - 1 };

    /// `ERROR` alone, or `>=WARNING` with all that are graver; any case, and the words that logs use.
    fn parse(text: &str) -> Result<Self, Invalid> {
        let (word, at_least) = text.strip_prefix(">=").map_or((text, false), |word| (word, true));
        let found = level::word(word.trim().as_bytes()).ok_or_else(|| {
            let names = Level::ALL.map(Level::name).join(", ");
            Invalid::new(format!("parameter 'level': expected one of {names}, with or without '>=', got '{text}'"))
        })?;
        let meant = Level::ALL.into_iter().filter(|level| *level == found || (at_least && *level > found));
        Ok(Self { bits: meant.fold(0, |bits, level| bits | Self::bit(level)) })
    }

    pub(crate) const fn has(self, level: Level) -> bool {
        self.bits & Self::bit(level) != 0
    }

    pub(crate) const fn is_all(self) -> bool {
        self.bits == Self::ALL.bits
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(move |level| self.has(*level))
    }

    const fn bit(level: Level) -> u8 {
        1 << level as u8
    }
}

/// A place in a list, that of one entry: the list goes on after it, whatever was added since. Callers hand it back as
/// they got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) time: LogTime,
    pub(crate) id: i64,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (time, id) = text.split_once('_')?;
        Some(Self { time: LogTime::from_nanos(time.parse().ok()?), id: id.parse().ok()? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.time.nanos(), self.id)
    }
}

fn short<'a>(name: &str, text: Option<&'a str>) -> Result<Option<&'a str>, Invalid> {
    match text.map(str::len) {
        Some(got) if got > SEARCH_BYTES_MAX => {
            Err(Invalid::new(format!("parameter '{name}': expected at most {SEARCH_BYTES_MAX} bytes, got {got}")))
        }
        _ => Ok(text),
    }
}

fn time(query: &Query, name: &str) -> Result<Option<LogTime>, Invalid> {
    query.parsed(name, query::TIME, LogTime::parse)
}

/// A date alone means all of that day.
fn until(query: &Query) -> Result<Option<LogTime>, Invalid> {
    let until = time(query, "until")?;
    let is_date = query.text("until").is_some_and(|text| !text.contains([':', 'T', 't', ' ']));
    Ok(until
        .map(|until| if is_date { LogTime::from_nanos(until.nanos().saturating_add(DAY_NANOS - 1)) } else { until }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<Filter, Invalid> {
        Filter::parse(&Query::parse(query).expect("well-formed"))
    }

    #[track_caller]
    fn levels(query: &str, expected: &[Level]) {
        assert_eq!(filter(query).expect(query).levels.iter().collect::<Vec<_>>(), expected, "{query}");
    }

    #[track_caller]
    fn page(query: &str, limit: usize, offset: usize) {
        let filter = filter(query).expect(query);
        assert_eq!((filter.limit, filter.offset), (limit, offset), "{query}");
    }

    #[track_caller]
    fn times(query: &str, since: Option<&str>, until: Option<&str>) {
        let filter = filter(query).expect(query);
        let text = |time: Option<LogTime>| time.map(|time| time.to_string());
        assert_eq!((text(filter.since).as_deref(), text(filter.until).as_deref()), (since, until), "{query}");
    }

    #[test]
    fn level_words() {
        levels("", &Level::ALL);
        levels("level=", &Level::ALL);
        levels("level=ERROR", &[Level::Error]);
        levels("level=error", &[Level::Error]);
        levels("level=Warn", &[Level::Warning]);
        levels("level=>=WARNING", &[Level::Warning, Level::Error, Level::Critical]);
        levels("level=%3E%3Derr", &[Level::Error, Level::Critical]);
        levels("level=>=+fatal", &[Level::Critical]);
        levels("level=>=debug", &Level::ALL);
    }

    #[test]
    fn numbers_are_clamped() {
        page("", 100, 0);
        page("limit=0&offset=-3", 100, 0);
        page("limit=-1", 100, 0);
        page("limit=1&offset=7", 1, 7);
        page("limit=500", 500, 0);
        page("limit=501&offset=99999999999999999999", 500, u32::MAX as usize);
    }

    #[test]
    fn times_of_any_form() {
        times("", None, None);
        times("since=2026-01-20T10:00:00Z", Some("2026-01-20T10:00:00.000000000Z"), None);
        times("since=2026-01-20T10:00:00.123456789%2B02:00", Some("2026-01-20T08:00:00.123456789Z"), None);
        times("since=2026-01-20", Some("2026-01-20T00:00:00.000000000Z"), None);
        times("until=2026-01-20", None, Some("2026-01-20T23:59:59.999999999Z"));
        times("until=20260120", None, Some("2026-01-20T23:59:59.999999999Z"));
        times("until=2026-01-20T00:00", None, Some("2026-01-20T00:00:00.000000000Z"));
        times("until=20260120T10Z", None, Some("2026-01-20T10:00:00.000000000Z"));
    }

    #[test]
    fn what_is_searched_for() {
        let search = |query: &str| filter(query).expect(query).search;
        assert_eq!(search("search=a&q=b").as_deref(), Some("b"));
        assert_eq!(search("q=b&search=a").as_deref(), Some("a"));
        assert_eq!(search("q=b&search=").as_deref(), Some("b"));
        let wordless = filter("q=***&contains=x").expect("a filter");
        assert!(wordless.is_search_wordless && !wordless.needs_index());
        assert_eq!(wordless.needles, [Needle::new("x"), Needle::new("***")]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let long = "x".repeat(SEARCH_BYTES_MAX + 1);
        for query in [
            "level=loud",
            "level=>=",
            "level=3",
            "limit=many",
            "offset=x",
            "since=yesterday",
            "until=2026-02-30",
            "before=7",
            "before=a_b",
            &format!("search={long}"),
            &format!("contains={long}"),
        ] {
            let name = query.split_once('=').expect("a pair").0;
            let detail = filter(query).expect_err(query).detail;
            assert!(detail.starts_with(&format!("parameter '{name}': expected ")), "{detail}");
        }
        assert_eq!(
            filter("level=%3E%3Dloud").expect_err("a refusal").detail,
            "parameter 'level': expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, with or without '>=', got '>=loud'"
        );
    }

    #[test]
    fn a_place_comes_back() {
        for place in
            [Place { time: LogTime::from_nanos(-7), id: 9 }, Place { time: LogTime::from_nanos(i64::MAX), id: 0 }]
        {
            assert_eq!(filter(&format!("before={place}")).expect("a filter").before, Some(place));
        }
    }

    #[test]
    fn entries_in_memory_are_matched() {
        let entry = Entry {
            id: 1,
            container: "web".into(),
            time: LogTime::parse("2026-01-20T10:00:00Z").expect("a time"),
            stream: crate::entry::Stream::Stdout,
            level: Level::Warning,
            message: "Disk is \x1b[1mFULL\x1b[0m: 100%".into(),
        };
        for (query, expected) in [
            ("", true),
            ("container=web", true),
            ("container=we", false),
            ("level=%3E%3DWARNING", true),
            ("level=ERROR", false),
            ("since=2026-01-20T10:00:00Z&until=2026-01-20T10:00:00Z", true),
            ("since=2026-01-20T10:00:01Z", false),
            ("until=2026-01-19", false),
            ("contains=full:%20100%25", true),
            ("contains=empty", false),
        ] {
            assert_eq!(filter(query).expect(query).matches(&entry), expected, "{query}");
        }
    }
}
