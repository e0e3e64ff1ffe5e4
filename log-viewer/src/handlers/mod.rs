//! One file per noun of the API: parse the request, call the store, render the answer.

pub(crate) mod containers;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod histogram;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod stats;
pub(crate) mod tail;
