//! What clients send, parsed once.

use common::clock::Timestamp;

use crate::series::Series;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) series: Series,
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
    /// The labels that are kept with the value only: a compact JSON object, its keys sorted.
    pub(crate) dropped: Option<String>,
}
