//! HTTP in and out, one file per noun in the URL.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod self_metrics;
