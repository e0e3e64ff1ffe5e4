//! What the handlers of error-tracker share.

use std::sync::Mutex;

use crate::alerter::AlerterHandle;

/// A worker's context.
pub(crate) type Context = common::service::Context<Shared>;

/// What all workers share, besides what every service has.
pub(crate) struct Shared {
    pub(crate) alerts: AlertSwitch,
    /// Held while an error with all its occurrences is read and rendered. They can be 1.5 MB, twice for a moment; one at
    /// a time is what the memory is planned for.
    pub(crate) large_answer: Mutex<()>,
}

/// Whether new errors alert somebody.
pub(crate) enum AlertSwitch {
    On(AlerterHandle),
    Off { missing: &'static str },
}

impl AlertSwitch {
    pub(crate) const fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// Tells the alerter that there is something to send.
    pub(crate) fn wake(&self) {
        if let Self::On(alerter) = self {
            alerter.wake();
        }
    }
}
