//! HTTP in, HTTP out: one file per noun in the URL. Parse, call, render.

pub(crate) mod alerts;
pub(crate) mod errors;
pub(crate) mod metrics;
pub(crate) mod projects;
