//! HTTP in and out, one file per noun in the URL.

pub(crate) mod dashboard;
pub(crate) mod health;
pub(crate) mod labels;
pub(crate) mod names;
pub(crate) mod projects;
pub(crate) mod questions;
pub(crate) mod samples;
pub(crate) mod self_metrics;
