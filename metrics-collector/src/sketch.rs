//! A quantile sketch: how often values of about this size occurred. Two of them merge without loss, and a percentile of it
//! is within [`RELATIVE_ERROR_MAX`] of the nearest-rank value.

/// The contract's bound.
pub(crate) const RELATIVE_ERROR_MAX: f64 = 0.01;
