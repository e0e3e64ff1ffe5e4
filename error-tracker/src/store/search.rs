//! Substring search in any case. Unlike `LIKE` it knows more letters than ASCII, takes `%` and `_` as they are, and sees
//! what stands behind a NUL character.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

/// `holds(text, needle)`: whether `text` holds `needle`, which must be in lower case already.
pub(super) fn register(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("holds", 2, flags, |ctx| Ok(holds(text(ctx, 0), text(ctx, 1))))
}

fn text<'a>(ctx: &'a Context<'_>, at: usize) -> &'a str {
    match ctx.get_raw(at) {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        _ => "",
    }
}

/// Comparing at each place where the first letter stands is quickest for what people type, but takes up to
/// `text × needle` steps. Beyond this length a search is used that never does.
const COMPARED_BYTES_MAX: usize = 64;

fn holds(text: &str, needle: &str) -> bool {
    if needle.len() <= COMPARED_BYTES_MAX && needle.is_ascii() && text.is_ascii() {
        return holds_ascii(text.as_bytes(), needle.as_bytes());
    }
    text.to_lowercase().contains(needle)
}

fn holds_ascii(text: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let last_start = text.len().saturating_sub(rest.len());
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), &text[..last_start])
        .any(|at| text[at + 1..at + 1 + rest.len()].eq_ignore_ascii_case(rest))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_in_any_case() {
        for (text, needle, expected) in [
            ("Connection Refused", "refused", true),
            ("refused", "refused", true),
            ("refuse", "refused", false),
            ("", "a", false),
            ("a", "", true),
            ("ÜBER alles", "über", true),
            ("before\0after", "after", true),
            ("100% of a_b", "0% of a_b", true),
            ("100 of aXb", "a_b", false),
        ] {
            assert_eq!(holds(text, needle), expected, "{needle:?} in {text:?}");
        }
    }

    #[test]
    fn a_long_needle_costs_no_more_than_a_short_one() {
        let text = "a".repeat(256 << 10);
        let began = Instant::now();
        assert!(!holds(&text, &("a".repeat(4000) + "b")));
        assert!(holds(&text, &"a".repeat(4000)));
        assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    }

    proptest! {
        #[test]
        fn is_a_lower_case_contains(text in "[a-cA-C0é]{0,12}", needle in "[a-c0é]{0,3}") {
            prop_assert_eq!(holds(&text, &needle), text.to_lowercase().contains(&needle));
        }

        #[test]
        fn is_that_for_long_needles_too(start in "[aA]{0,40}", needle in "[a-b]{60,70}", end in "[aA]{0,40}") {
            let text = start + &needle.to_uppercase() + &end;
            prop_assert!(holds(&text, &needle));
            let longer = needle + "c";
            prop_assert!(!holds(&text, &longer));
        }
    }
}
