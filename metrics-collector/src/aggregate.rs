//! What a minute or an hour of a series comes to: count, sum, extremes, percentiles.

/// The figures of one series in one bucket. `count` is at least 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Of histograms only.
    pub(crate) percentiles: Option<Percentiles>,
}

/// Nearest rank: the value at index `ceil(p * n / 100) - 1` of the ascending values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}
