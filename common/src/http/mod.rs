//! HTTP, from the socket to a handler and back, in the order a request travels:
//! [`screen`] → [`server`] → [`router`] → handler → [`reply`] → [`response`] or [`stream`].

pub(crate) mod body;
pub mod error;
pub mod gate;
pub mod head;
pub mod idempotency;
pub mod metrics;
mod queue;
pub mod reply;
pub mod request;
pub mod response;
pub mod router;
pub mod screen;
pub mod server;
pub mod stream;
