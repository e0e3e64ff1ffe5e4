//! Scaffold of filters.
use common::json::Invalid;
use common::query::Query;

use crate::entry::Entry;

pub(crate) struct Filter;

impl Filter {
    pub(crate) fn parse(_query: &Query) -> Result<Self, Invalid> {
        Ok(Self)
    }
    pub(crate) fn needs_index(&self) -> bool {
        false
    }
    pub(crate) fn matches(&self, _entry: &Entry) -> bool {
        true
    }
}
