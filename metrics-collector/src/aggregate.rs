//! What a minute or an hour of a series comes to: count, sum, extremes, percentiles.
//!
//! Sums are taken over ascending values, so that they do not depend on the order in which values arrived. A sum beyond the
//! range of doubles is the largest double: JSON has no word for infinity.

use crate::series::Type;
use crate::sketch::{Sketch, rank};

/// The figures of one series in one bucket. `count` is at least 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Of histograms only.
    pub(crate) percentiles: Option<Percentiles>,
}

impl Aggregate {
    /// The mean. Rounding, or a sum beyond the range of doubles, would take it out of the values it is the mean of.
    pub(crate) fn avg(&self) -> f64 {
        (self.sum / self.count as f64).max(self.min).min(self.max)
    }
}

/// Nearest rank: the value at index `ceil(p * n / 100) - 1` of the ascending values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

/// The exact figures of `count` ascending values, and for a histogram their sketch, which is what later merges need.
/// None when there are no values, or fewer than that.
pub(crate) fn exactly(
    kind: Type,
    count: u64,
    ascending: impl Iterator<Item = f64>,
) -> Option<(Aggregate, Option<Sketch>)> {
    let ranks = [50, 95, 99].map(|p| rank(count, p));
    let mut found = [0.0; 3];
    let mut sketch = (kind == Type::Histogram).then(Sketch::new);
    let (mut seen, mut sum, mut min, mut max) = (0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for value in ascending {
        seen += 1;
        sum += value;
        min = value.min(min);
        max = value.max(max);
        if let Some(sketch) = &mut sketch {
            sketch.add(value, 1);
            for (rank, found) in ranks.iter().zip(&mut found) {
                if *rank == seen {
                    *found = value;
                }
            }
        }
    }
    let [p50, p95, p99] = found;
    let percentiles = sketch.is_some().then_some(Percentiles { p50, p95, p99 });
    let aggregate = Aggregate { count, sum: finite(sum), min, max, percentiles };
    (seen == count && count > 0).then_some((aggregate, sketch))
}

/// Adds up buckets, of one series or of several of the same type.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    sketch: Option<Sketch>,
    /// While only one bucket has been added, its percentiles: they are better than those of the sketch.
    known: Option<Percentiles>,
}

impl Merged {
    /// Without values. Only those of a histogram have percentiles.
    pub(crate) fn new(kind: Type) -> Self {
        let sketch = (kind == Type::Histogram).then(Sketch::new);
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, sketch, known: None }
    }

    /// Adds a bucket. Of one without a sketch - the original kept none - only the three percentiles are known.
    pub(crate) fn add(&mut self, aggregate: &Aggregate, sketch: Option<&Sketch>) {
        self.known = aggregate.percentiles.filter(|_| self.count == 0 && self.sketch.is_some());
        self.count = self.count.saturating_add(aggregate.count);
        self.sum = finite(self.sum + aggregate.sum);
        self.min = self.min.min(aggregate.min);
        self.max = self.max.max(aggregate.max);
        if let Some(ours) = &mut self.sketch {
            match (sketch, aggregate.percentiles) {
                (Some(theirs), _) => ours.merge(theirs),
                (None, Some(percentiles)) => ours.merge(&guess(aggregate, percentiles)),
                (None, None) => {}
            }
        }
    }

    /// Adds all that the other one has added.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.known = other.known.filter(|_| self.count == 0);
        self.count = self.count.saturating_add(other.count);
        self.sum = finite(self.sum + other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if let (Some(ours), Some(theirs)) = (&mut self.sketch, &other.sketch) {
            ours.merge(theirs);
        }
    }

    /// How many values there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// What is within 1 % of the value of nearest rank; none without values or if this is not a histogram.
    pub(crate) fn percentile(&self, p: u32) -> Option<f64> {
        let value = self.sketch.as_ref()?.percentile(p)?;
        Some(value.max(self.min).min(self.max))
    }

    /// All figures, if there are values.
    pub(crate) fn aggregate(&self) -> Option<Aggregate> {
        let percentiles = || {
            let [p50, p95, p99] = [50, 95, 99].map(|p| self.percentile(p));
            Some(Percentiles { p50: p50?, p95: p95?, p99: p99? })
        };
        let Self { count, sum, min, max, .. } = *self;
        (count > 0).then(|| Aggregate { count, sum, min, max, percentiles: self.known.or_else(percentiles) })
    }

    /// The sketch of a histogram, for further merges.
    pub(crate) fn into_sketch(self) -> Option<Sketch> {
        self.sketch
    }
}

/// As many values as there were, with just these percentiles.
fn guess(aggregate: &Aggregate, percentiles: Percentiles) -> Sketch {
    let Percentiles { p50, p95, p99 } = percentiles;
    let mut sketch = Sketch::new();
    let mut below = 0;
    for (p, value) in [(50, p50), (95, p95), (99, p99), (100, aggregate.max)] {
        let upto = rank(aggregate.count, p);
        sketch.add(value, upto - below);
        below = upto;
    }
    sketch
}

const fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "what is called exact is")]

    use proptest::prelude::*;

    use super::*;

    fn of(kind: Type, values: &[f64]) -> (Aggregate, Option<Sketch>) {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        exactly(kind, values.len() as u64, values.into_iter()).expect("values")
    }

    #[track_caller]
    fn check(values: &[f64], expected: [f64; 3]) {
        let percentiles = of(Type::Histogram, values).0.percentiles.expect("percentiles");
        assert_eq!([percentiles.p50, percentiles.p95, percentiles.p99], expected, "{values:?}");
    }

    #[test]
    fn percentiles_are_those_of_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        check(&hundred, [50.0, 95.0, 99.0]);
        check(&[5.0, 1.0, 3.0], [3.0, 5.0, 5.0]);
        check(&[7.0], [7.0; 3]);
        check(&[2.0, 1.0], [1.0, 2.0, 2.0]);
        check(&[-1.0, -1.0, -5.0], [-1.0; 3]);
    }

    #[test]
    fn only_histograms_have_percentiles() {
        for kind in [Type::Counter, Type::Gauge] {
            let (aggregate, sketch) = of(kind, &[3.0, -1.5]);
            assert_eq!(aggregate, Aggregate { count: 2, sum: 1.5, min: -1.5, max: 3.0, percentiles: None });
            assert_eq!(sketch, None);
            let mut merged = Merged::new(kind);
            merged.add(&aggregate, None);
            assert_eq!(merged.aggregate(), Some(aggregate));
        }
    }

    #[test]
    fn values_that_are_missing_are_noticed() {
        assert_eq!(exactly(Type::Gauge, 0, [].into_iter()), None);
        assert_eq!(exactly(Type::Gauge, 3, [1.0, 2.0].into_iter()), None);
        assert_eq!(Merged::new(Type::Histogram).aggregate(), None);
        assert_eq!(Merged::new(Type::Histogram).percentile(75), None);
    }

    #[test]
    fn a_sum_beyond_the_range_is_the_largest_double() {
        let (large, _) = of(Type::Counter, &[f64::MAX, f64::MAX]);
        assert_eq!(large.sum, f64::MAX);
        let (small, _) = of(Type::Counter, &[f64::MIN, f64::MIN, f64::MAX]);
        assert_eq!(small.sum, f64::MIN);
        let mut merged = Merged::new(Type::Counter);
        merged.add(&large, None);
        merged.add(&large, None);
        assert_eq!(merged.aggregate().map(|aggregate| aggregate.sum), Some(f64::MAX));
    }

    #[test]
    fn a_mean_is_among_its_values() {
        for values in [[0.1, 0.1, 0.1], [f64::MAX, f64::MAX, f64::MAX], [-1.0, 0.0, 4.0]] {
            let (aggregate, _) = of(Type::Gauge, &values);
            assert!((aggregate.min..=aggregate.max).contains(&aggregate.avg()), "{aggregate:?}");
        }
        assert_eq!(of(Type::Gauge, &[-1.0, 0.0, 4.0]).0.avg(), 1.0);
    }

    #[test]
    fn one_bucket_alone_keeps_its_exact_percentiles() {
        let (one, sketch) = of(Type::Histogram, &[1.003, 7.77, 12.345]);
        let mut merged = Merged::new(Type::Histogram);
        merged.add(&one, sketch.as_ref());
        assert_eq!(merged.aggregate().as_ref(), Some(&one));
        let mut copy = Merged::new(Type::Histogram);
        copy.merge(&merged);
        copy.merge(&Merged::new(Type::Histogram));
        assert_eq!(copy.aggregate().as_ref(), Some(&one));
        copy.merge(&merged);
        assert_eq!(copy.aggregate().map(|both| both.count), Some(6));
        assert_ne!(copy.aggregate().and_then(|both| both.percentiles), one.percentiles);
    }

    #[test]
    fn a_bucket_without_a_sketch_counts_with_its_percentiles() {
        let percentiles = Some(Percentiles { p50: 50.0, p95: 95.0, p99: 99.0 });
        let old = Aggregate { count: 100, sum: 5050.0, min: 1.0, max: 100.0, percentiles };
        let mut merged = Merged::new(Type::Histogram);
        merged.add(&old, None);
        merged.add(
            &Aggregate {
                count: 1,
                sum: 7.0,
                min: 7.0,
                max: 7.0,
                percentiles: Some(Percentiles { p50: 7.0, p95: 7.0, p99: 7.0 }),
            },
            None,
        );
        let sum = merged.aggregate().expect("values");
        assert_eq!((sum.count, sum.sum, sum.min, sum.max), (101, 5057.0, 1.0, 100.0));
        let near =
            |p: u32, value: f64| merged.percentile(p).is_some_and(|estimate| (estimate / value - 1.0).abs() < 0.01);
        assert!(near(50, 50.0) && near(95, 95.0) && near(99, 99.0), "{merged:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn hours_of_minutes_are_within_one_percent(
            minutes in prop::collection::vec(prop::collection::vec(-1e3..1e5, 1..60), 1..20),
        ) {
            let mut merged = Merged::new(Type::Histogram);
            for minute in &minutes {
                let (aggregate, sketch) = of(Type::Histogram, minute);
                merged.add(&aggregate, sketch.as_ref());
            }
            let (exact, _) = of(Type::Histogram, &minutes.concat());
            let hour = merged.aggregate().expect("values");
            prop_assert_eq!((hour.count, hour.min, hour.max), (exact.count, exact.min, exact.max));
            prop_assert!((hour.sum - exact.sum).abs() <= 1e-6);
            let pair = hour.percentiles.zip(exact.percentiles).expect("percentiles");
            for (estimate, exact) in [(pair.0.p50, pair.1.p50), (pair.0.p95, pair.1.p95), (pair.0.p99, pair.1.p99)] {
                prop_assert!((estimate - exact).abs() <= exact.abs() * crate::sketch::RELATIVE_ERROR_MAX);
            }
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(values in prop::collection::vec(-1e9..1e9, 1..100)) {
            let reversed: Vec<f64> = values.iter().rev().copied().collect();
            prop_assert_eq!(of(Type::Histogram, &values), of(Type::Histogram, &reversed));
        }
    }
}
