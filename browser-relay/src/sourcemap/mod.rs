//! Source maps (ECMA-426): read once when they arrive, then looked up piece by piece. No I/O here; the pieces come from
//! [`store::maps`](crate::store::maps).

pub(crate) mod arriving;
pub(crate) mod contents;
pub(crate) mod file_url;
pub(crate) mod index;
mod json;
pub(crate) mod lookup;
#[cfg(test)]
mod oracle;
pub(crate) mod parse;
mod vlq;

use std::fmt::Display;

use common::json::Invalid;

/// The sentence of the contract, and what in particular.
fn invalid(reason: impl Display) -> Invalid {
    Invalid::new("Invalid source map format").because(reason)
}
