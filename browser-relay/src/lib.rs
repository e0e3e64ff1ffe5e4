//! The public door for browsers: takes their errors and metrics by DSN key, makes stack traces readable with source maps,
//! and forwards to error-tracker and metrics-collector.

#![allow(dead_code)]
