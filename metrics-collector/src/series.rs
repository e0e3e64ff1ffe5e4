//! What tells metrics apart: a name, a type, a project and labels.

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
