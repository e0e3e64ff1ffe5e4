//! Single values, in the order of their times.

use common::clock::Timestamp;

/// A point's id is its time in milliseconds, shifted by so many bits, plus a number that keeps points of one millisecond
/// apart. 42 bits of time last until the year 2109.
const SEQUENCE_BITS: u32 = 21;

/// The smallest id of the points at this time; those before it are smaller.
pub(crate) const fn first_id(at: Timestamp) -> i64 {
    at.millis() << SEQUENCE_BITS
}

/// When the point of this id was measured.
pub(crate) const fn time_of(id: i64) -> Timestamp {
    Timestamp::from_millis(id >> SEQUENCE_BITS)
}
