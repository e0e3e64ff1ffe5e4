//! Web Vitals: what they are called, and how good a page is (web.dev/articles/vitals; rated at the 75th percentile).

/// What browsers measure of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Vital {
    /// Largest contentful paint, milliseconds.
    Lcp,
    /// Interaction to next paint, milliseconds.
    Inp,
    /// Cumulative layout shift, without a unit.
    Cls,
    /// First contentful paint, milliseconds.
    Fcp,
    /// Time to first byte, milliseconds.
    Ttfb,
}

impl Vital {
    pub(crate) const ALL: [Self; 5] = [Self::Lcp, Self::Inp, Self::Cls, Self::Fcp, Self::Ttfb];

    /// The one that a metric of this name holds.
    pub(crate) fn of_metric(name: &str) -> Option<Self> {
        let short = name.strip_prefix("web_vitals_")?;
        Self::ALL.into_iter().find(|vital| vital.name() == short)
    }

    /// As in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lcp => "lcp",
            Self::Inp => "inp",
            Self::Cls => "cls",
            Self::Fcp => "fcp",
            Self::Ttfb => "ttfb",
        }
    }

    /// Good below the first, poor from the second on.
    const fn thresholds(self) -> (f64, f64) {
        match self {
            Self::Lcp => (2500.0, 4000.0),
            Self::Inp => (200.0, 500.0),
            Self::Cls => (0.1, 0.25),
            Self::Fcp => (1800.0, 3000.0),
            Self::Ttfb => (800.0, 1800.0),
        }
    }

    /// `good`, `needs-improvement` or `poor`; `unknown` without a value.
    pub(crate) fn rating(self, p75: Option<f64>) -> &'static str {
        let (good_below, poor_from) = self.thresholds();
        match p75 {
            None => "unknown",
            Some(value) if value < good_below => "good",
            Some(value) if value < poor_from => "needs-improvement",
            Some(_) => "poor",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_in_the_worse_class() {
        for (vital, value, expected) in [
            (Vital::Lcp, 2499.9, "good"),
            (Vital::Lcp, 2500.0, "needs-improvement"),
            (Vital::Lcp, 4000.0, "poor"),
            (Vital::Inp, 200.0, "needs-improvement"),
            (Vital::Inp, 500.0, "poor"),
            (Vital::Cls, 0.05, "good"),
            (Vital::Cls, 0.25, "poor"),
            (Vital::Fcp, 1800.0, "needs-improvement"),
            (Vital::Ttfb, 799.0, "good"),
        ] {
            assert_eq!(vital.rating(Some(value)), expected, "{vital:?} {value}");
        }
        assert_eq!(Vital::Cls.rating(None), "unknown");
    }

    #[test]
    fn metrics_are_known_by_name() {
        assert_eq!(Vital::of_metric("web_vitals_inp"), Some(Vital::Inp));
        assert_eq!(Vital::of_metric("web_vitals_fid"), None);
        assert_eq!(Vital::of_metric("lcp"), None);
    }
}
