//! Takes counters, histograms and gauges, keeps them by the minute and by the hour, and answers with right percentiles.

// What is sent.
mod item;
mod labels;
mod sample;
mod series;

// What is made of it.
mod aggregate;
mod aggregator;
mod sketch;

// What is asked, and answered.
mod answer;
mod dashboard;
mod label_list;
mod question;
mod totals;
mod vitals;
mod window;

// Where it is kept.
mod store;

// The service.
mod config;
mod context;
mod figures;
mod handlers;
mod routes;
mod service;
mod timers;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use service::PROGRAM;
