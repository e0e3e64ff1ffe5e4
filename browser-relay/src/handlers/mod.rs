//! One file per noun of the API: parse the request, call the store, render the answer.

pub(crate) mod browser;
pub(crate) mod keys;
pub(crate) mod self_metrics;
pub(crate) mod source_maps;
