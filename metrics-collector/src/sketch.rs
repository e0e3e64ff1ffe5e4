//! A quantile sketch: how often values of about this size occurred. Two of them merge without loss, and a percentile of it
//! is within 1 % of the nearest-rank value.
//!
//! A bucket is an exponent and the first six bits of the fraction, as a double has them: 64 buckets each time the value
//! doubles, all over the range of doubles, found by a shift and the same on every machine. Its middle is at most 1/128
//! from each of its values.

/// The contract's bound; ours is 1/128.
#[cfg(test)]
pub(crate) const RELATIVE_ERROR_MAX: f64 = 0.01;

/// So many buckets hold values whose largest is 2^64 times the smallest, if they fill the space between. What is spread wider
/// and is denser loses its lowest buckets: their values count as the smallest that is left.
pub(crate) const BUCKETS_MAX: usize = 4096;

/// Bits of a double's fraction that do not choose the bucket.
const SHIFT: u32 = 52 - 6;
/// Doubles below the smallest normal one have fewer bits; they are looked at this many powers of two higher.
const LIFT: i32 = 64;
const LIFTED_KEYS: i32 = LIFT << 6;
const KEY_MAX: i32 = (f64::MAX.to_bits() >> SHIFT) as i32 + LIFTED_KEYS;

/// A multiset of finite values, each known to about 0.8 %.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sketch {
    /// By key, ascending; so their values ascend, too.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// 0 for the value 0, below it for negative values.
    key: i32,
    /// At least 1.
    count: u64,
}

impl Sketch {
    /// Without values.
    pub(crate) const fn new() -> Self {
        Self { buckets: Vec::new() }
    }

    /// Counts a value so many times. Cheap when values come in ascending order. What is not finite counts as the largest
    /// value there is, and NaN not at all.
    pub(crate) fn add(&mut self, value: f64, times: u64) {
        if times == 0 || value.is_nan() {
            return;
        }
        let bucket = Bucket { key: key_of(value), count: times };
        match self.buckets.last_mut() {
            Some(last) if last.key == bucket.key => last.count = last.count.saturating_add(times),
            Some(last) if last.key > bucket.key => self.insert(bucket),
            _ => self.buckets.push(bucket),
        }
        self.collapse();
    }

    fn insert(&mut self, bucket: Bucket) {
        match self.buckets.binary_search_by_key(&bucket.key, |bucket| bucket.key) {
            Ok(index) => self.buckets[index].count = self.buckets[index].count.saturating_add(bucket.count),
            Err(index) => self.buckets.insert(index, bucket),
        }
    }

    /// Counts all that the other one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        let mut new = Vec::new();
        let mut ours = self.buckets.iter_mut().peekable();
        for theirs in &other.buckets {
            while ours.next_if(|our| our.key < theirs.key).is_some() {}
            // Sketches of one thing mostly have the same buckets: then nothing is moved.
            match ours.peek_mut() {
                Some(our) if our.key == theirs.key => our.count = our.count.saturating_add(theirs.count),
                _ => new.push(*theirs),
            }
        }
        if !new.is_empty() {
            self.buckets.append(&mut new);
            // Two ascending runs: a stable sort finds and merges them.
            self.buckets.sort_by_key(|bucket| bucket.key);
        }
        self.collapse();
    }

    fn collapse(&mut self) {
        let surplus = self.buckets.len().saturating_sub(BUCKETS_MAX);
        if surplus > 0 {
            let lowest: u64 = self.buckets.drain(..surplus).map(|bucket| bucket.count).fold(0, u64::saturating_add);
            self.buckets[0].count = self.buckets[0].count.saturating_add(lowest);
        }
    }

    /// How many values it has counted.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).fold(0, u64::saturating_add)
    }

    /// About the value of nearest rank, `ceil(p * n / 100)`; none without values. It may lie a little outside of what was
    /// added: whoever knows smallest and largest clamps it.
    pub(crate) fn percentile(&self, p: u32) -> Option<f64> {
        let mut left = rank(self.count(), p);
        let bucket = self.buckets.iter().find(|bucket| {
            left = left.saturating_sub(bucket.count);
            left == 0
        })?;
        Some(middle_of(bucket.key))
    }

    /// As bytes: per bucket the distance of its key from the one before and whether it counts more than 1, then the count if
    /// so; both as numbers of seven bits a byte. That is 1 to 2 bytes a bucket; a general binary format takes 12.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.buckets.len() * 2 + 4);
        let mut before = -KEY_MAX - 1;
        for bucket in &self.buckets {
            let distance = i64::from(bucket.key) - i64::from(before) - 1;
            put(&mut bytes, (distance as u64) << 1 | u64::from(bucket.count > 1));
            if bucket.count > 1 {
                put(&mut bytes, bucket.count);
            }
            before = bucket.key;
        }
        bytes
    }

    /// None when these are not the bytes of a sketch.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        // Most buckets take one or two bytes.
        let mut sketch = Self { buckets: Vec::with_capacity(bytes.len().min(BUCKETS_MAX)) };
        let mut key = i64::from(-KEY_MAX) - 1;
        while !bytes.is_empty() {
            let step = take(&mut bytes)?;
            key = key.checked_add(i64::try_from(step >> 1).ok()?)?.checked_add(1)?;
            let count = if step & 1 == 1 { take(&mut bytes)? } else { 1 };
            let key = i32::try_from(key).ok().filter(|key| *key <= KEY_MAX)?;
            if count == 0 || sketch.buckets.len() == BUCKETS_MAX {
                return None;
            }
            sketch.buckets.push(Bucket { key, count });
        }
        Some(sketch)
    }
}

/// The place of a percentile among `count` ascending values, from 1 (from 0 if there are none).
pub(crate) fn rank(count: u64, p: u32) -> u64 {
    let rank = (u128::from(count) * u128::from(p)).div_ceil(100) as u64;
    rank.max(1).min(count)
}

fn key_of(value: f64) -> i32 {
    let size = value.abs().min(f64::MAX);
    let key = if size == 0.0 {
        0
    } else if size < f64::MIN_POSITIVE {
        ((size * power_of_two(LIFT)).to_bits() >> SHIFT) as i32
    } else {
        (size.to_bits() >> SHIFT) as i32 + LIFTED_KEYS
    };
    if value < 0.0 { -key } else { key }
}

fn middle_of(key: i32) -> f64 {
    let middle = |key: i32| f64::from_bits((key as u64) << SHIFT | 1 << (SHIFT - 1));
    let size = match key.abs() {
        0 => 0.0,
        key if key < (LIFT + 1) << 6 => middle(key) / power_of_two(LIFT),
        key => middle(key - LIFTED_KEYS),
    };
    if key < 0 { -size } else { size }
}

const fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::new();
        for value in values {
            sketch.add(*value, 1);
        }
        sketch
    }

    /// The smallest doubles are whole multiples of the smallest one: half of that is not an error.
    #[track_caller]
    fn check_close(estimate: f64, exact: f64) {
        let error = (estimate - exact).abs();
        assert!(error <= exact.abs() / 127.99 + f64::from_bits(1), "{estimate:e} for {exact:e}");
    }

    #[track_caller]
    fn check_percentiles(values: &mut [f64]) {
        let sketch = sketch(values);
        assert_eq!(sketch.count(), values.len() as u64);
        values.sort_by(f64::total_cmp);
        for p in 0..=100 {
            let index = (values.len() * p as usize).div_ceil(100).max(1) - 1;
            check_close(sketch.percentile(p).expect("values"), values[index]);
        }
        assert_eq!(Sketch::decode(&sketch.encode()), Some(sketch));
    }

    /// Data of many shapes: how a number from 0 to 1, and another one, become a value.
    const SHAPES: [fn(f64, f64) -> f64; 9] = [
        |x, _| x * 1000.0,
        |x, y| (3.0 + 2.0 * (-2.0 * x.max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * y).cos()).exp(),
        |x, y| if y < 0.7 { 5.0 + x } else { 900.0 + 200.0 * x },
        |_, _| 42.5,
        |x, y| (x - 0.5) * 10_f64.powf(y * 6.0),
        |x, y| 10_f64.powf(300.0 + 8.0 * x) * (y + 0.1),
        |x, y| f64::MIN_POSITIVE * x * y,
        |x, _| (x * 20.0).floor() - 10.0,
        |x, y| f64::from_bits(x.to_bits() ^ y.to_bits().rotate_left(31)),
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn percentiles_are_close_whatever_the_data(
            shape in 0..SHAPES.len(),
            seeds in prop::collection::vec((0.0..1.0, 0.0..1.0), 1..2000),
        ) {
            let mut values: Vec<f64> = seeds.into_iter().map(|(x, y)| SHAPES[shape](x, y)).collect();
            values.retain(|value| value.is_finite());
            prop_assume!(!values.is_empty());
            check_percentiles(&mut values);
        }

        #[test]
        fn any_double_finds_a_bucket_that_is_close(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let estimate = middle_of(key_of(value));
            prop_assert!(estimate.is_finite());
            check_close(estimate, value);
        }

        #[test]
        fn parts_merge_to_the_whole(
            parts in prop::collection::vec(prop::collection::vec(-1e6..1e6, 0..200), 1..8),
            order: prop::sample::Index,
        ) {
            let whole = sketch(&parts.concat());
            let mut merged = Sketch::new();
            let (later, first) = parts.split_at(order.index(parts.len()));
            for part in first.iter().chain(later) {
                merged.merge(&sketch(part));
            }
            prop_assert_eq!(merged, whole);
        }

        #[test]
        fn bytes_that_are_none_do_no_harm(bytes: Vec<u8>) {
            if let Some(sketch) = Sketch::decode(&bytes) {
                prop_assert!(sketch.percentile(50).is_none_or(f64::is_finite));
                prop_assert_eq!(Sketch::decode(&sketch.encode()), Some(sketch));
            }
        }
    }

    #[test]
    fn edges_of_the_range() {
        for value in [0.0, f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX, 1.0, 63.999] {
            check_percentiles(&mut [value, -value]);
        }
        let mut sketch = Sketch::new();
        assert_eq!(sketch.percentile(50), None);
        sketch.add(f64::NAN, 1);
        assert_eq!(sketch.count(), 0);
        sketch.add(f64::INFINITY, 1);
        sketch.add(f64::NEG_INFINITY, 1);
        assert!(sketch.percentile(100).is_some_and(|largest| largest.is_finite() && largest > 1.7e308));
        assert!(sketch.percentile(0).is_some_and(|smallest| smallest.is_finite() && smallest < -1.7e308));
    }

    #[test]
    fn ranks_are_nearest() {
        for (count, p, expected) in
            [(100, 50, 50), (3, 50, 2), (3, 95, 3), (1, 0, 1), (2, 50, 1), (2, 51, 2), (0, 99, 0)]
        {
            assert_eq!(rank(count, p), expected, "p{p} of {count}");
        }
        assert_eq!(rank(u64::MAX, 100), u64::MAX);
    }

    #[test]
    fn counts_do_not_overflow() {
        let mut sketch = Sketch::new();
        for value in [1.0, 1.0, 2.0] {
            sketch.add(value, u64::MAX);
        }
        assert_eq!(sketch.count(), u64::MAX);
        assert!(sketch.percentile(99).is_some_and(|value| (1.0..1.02).contains(&value)));
    }

    #[test]
    fn too_many_buckets_cost_the_lowest_values_only() {
        let mut values: Vec<f64> = (0..6000).map(|n| 1.012_f64.powi(n)).collect();
        let sketch = sketch(&values);
        assert_eq!(sketch.buckets.len(), BUCKETS_MAX);
        assert_eq!(sketch.count(), 6000);
        assert_eq!(Sketch::decode(&sketch.encode()), Some(sketch.clone()));
        values.sort_by(f64::total_cmp);
        for p in 35..=100 {
            check_close(sketch.percentile(p).expect("values"), values[6000 * p as usize / 100 - 1]);
        }
        assert!(sketch.percentile(1) > Some(values[60]));
    }

    #[test]
    fn a_sketch_is_small() {
        // 500 latencies around 50 ms, most of them between 10 and 250.
        let values: Vec<f64> = (1..=500)
            .map(|n| 50.0 * (f64::from(n) / 501.0).powf(1.5) / (1.0 - f64::from(n) / 501.0).powf(0.4))
            .collect();
        let sketch = sketch(&values);
        let bytes = sketch.encode().len();
        assert!(bytes < sketch.buckets.len() * 2, "{bytes} bytes for {} buckets", sketch.buckets.len());
    }
}
