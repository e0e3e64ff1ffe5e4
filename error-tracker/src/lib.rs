//! error-tracker: groups exceptions by fingerprint, keeps the last occurrences, alerts.
//!
//! A request travels one road: [`routes`] → a handler → the domain ([`report`], [`fingerprint`], [`group`]) → [`store`].
//! Alerts travel another: a row written with the report → [`alerter`] → [`alert`] (words) → [`mailer`] (SMTP).

#[cfg(test)]
#[path = "../tests/smtp/sink.rs"]
mod sink;

mod activity;
mod alert;
mod alerter;
mod config;
mod context;
mod fingerprint;
mod group;
mod handlers;
mod mailer;
mod report;
mod routes;
mod service;
mod store;
mod timers;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use service::PROGRAM;
