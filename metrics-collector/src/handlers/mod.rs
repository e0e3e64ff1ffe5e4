//! HTTP in and out, one file per noun in the URL.

pub(crate) mod health;
pub(crate) mod pages;
pub(crate) mod samples;
pub(crate) mod self_metrics;
