//! What tells metrics apart: a name, a type, a project and labels.

use std::hash::{BuildHasher as _, RandomState};

/// How values of a series are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Type {
    /// Increments; their sum over a time is how much happened, and divided by the time a rate.
    Counter,
    /// Measurements of single events; the only type with percentiles.
    Histogram,
    /// States; the newest value is how it is now.
    Gauge,
}

impl Type {
    /// Reads the word of requests and of the database.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Counter, Self::Histogram, Self::Gauge].into_iter().find(|kind| kind.name() == word)
    }

    /// The word in requests, answers and the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Gauge => "gauge",
        }
    }
}

/// A series' number in the database, never given twice.
pub(crate) type SeriesId = i64;

/// The identity of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// Empty for none.
    pub(crate) project: String,
    /// A compact JSON object, its keys sorted, without the labels that rollups drop; `{}` for none.
    pub(crate) labels: String,
}

impl Series {
    /// What its texts hold in memory.
    pub(crate) const fn text_bytes(&self) -> usize {
        self.name.len() + self.project.len() + self.labels.len()
    }
}

/// What a series is known by in memory: 128 bits of a keyed hash, which no two series ever share.
pub(crate) type Key = u128;

/// Makes keys. Strangers cannot know which series would share one: the hash is keyed anew at each start.
#[derive(Debug, Default)]
pub(crate) struct Keyer {
    high: RandomState,
    low: RandomState,
}

impl Keyer {
    pub(crate) fn key(&self, name: &str, kind: Type, project: &str, labels: &str) -> Key {
        let identity = (name, kind as u8, project, labels);
        u128::from(self.high.hash_one(identity)) << 64 | u128::from(self.low.hash_one(identity))
    }
}
