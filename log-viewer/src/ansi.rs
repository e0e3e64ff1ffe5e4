//! Terminal escape sequences: colours and the like, which must not get in the way of reading a text.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// The text without its escape sequences, borrowed when it has none. An escape character that begins no whole sequence
/// stays where it is.
pub(crate) fn without_colours(text: &str) -> Cow<'_, str> {
    if memchr(ESC, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(ESC, rest.as_bytes()) {
        let (before, from_escape) = rest.split_at(at);
        plain.push_str(before);
        let length = sequence_length(&from_escape.as_bytes()[1..]).map(|length| 1 + length);
        if length.is_none() {
            plain.push(char::from(ESC));
        }
        rest = &from_escape[length.unwrap_or(1)..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The length of the sequence that an escape character began, without that character. All its bytes are ASCII, but for
/// the text of an operating system command, which ends before an ASCII character.
fn sequence_length(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'[' => control_length(&bytes[1..]).map(|length| 1 + length),
        b']' => command_length(&bytes[1..]).map(|length| 1 + length),
        _ => short_length(bytes),
    }
}

/// CSI: parameters, intermediates, one final byte, as in `31;1m`.
fn control_length(bytes: &[u8]) -> Option<usize> {
    let parameters = count(bytes, 0x30..=0x3f);
    let intermediates = count(&bytes[parameters..], b' '..=b'/');
    let last = parameters + intermediates;
    matches!(bytes.get(last)?, b'@'..=b'~').then_some(last + 1)
}

/// OSC: any text up to BEL or `ESC \`, as in a window's title. Another escape character breaks it off, so that the search
/// for the end is never repeated over the same text.
fn command_length(bytes: &[u8]) -> Option<usize> {
    let end = memchr2(BEL, ESC, bytes)?;
    match &bytes[end..] {
        [BEL, ..] => Some(end + 1),
        [_, b'\\', ..] => Some(end + 2),
        _ => None,
    }
}

/// The rest: intermediates and one final byte, as in the `(B` of `tput sgr0`.
fn short_length(bytes: &[u8]) -> Option<usize> {
    let intermediates = count(bytes, b' '..=b'/');
    matches!(bytes.get(intermediates)?, b'0'..=b'~').then_some(intermediates + 1)
}

fn count(bytes: &[u8], range: std::ops::RangeInclusive<u8>) -> usize {
    bytes.iter().take_while(|&byte| range.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, plain: &str) {
        assert_eq!(without_colours(text), plain, "{text:?}");
    }

    #[test]
    fn sequences_go_and_text_stays() {
        check("\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[m", "red and green");
        check("\x1b[38;5;196mé\x1b[0;0;0m→", "é→");
        check("\x1b[2K\x1b[1G50%", "50%");
        check("\x1b[?25lhidden\x1b[?25h", "hidden");
        check("\x1b]0;a title é\x07text", "text");
        check("\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\", "link");
        check("bold\x1b(B\x1b[m off", "bold off");
    }

    #[test]
    fn what_is_no_sequence_stays() {
        check("end\x1b", "end\x1b");
        check("\x1b[31", "\x1b[31");
        check("\x1b[31é", "\x1b[31é");
        check("\x1b]0;no end", "\x1b]0;no end");
        check("\x1b]0;broken off\x1b[31mred", "\x1b]0;broken offred");
        check("\x1bé", "\x1bé");
        check("\x1b\x1b[31mx", "\x1bx");
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(without_colours("plain [31m text"), Cow::Borrowed(_)));
    }

    #[test]
    fn hostile_input_takes_linear_time() {
        for piece in ["\x1b]", "\x1b[", "\x1b[0", "\x1b(", "\x1b"] {
            let text = piece.repeat((256 << 10) / piece.len());
            let began = Instant::now();
            assert!(without_colours(&text).len() <= text.len());
            assert!(began.elapsed() < Duration::from_secs(5), "{piece:?} took {:?}", began.elapsed());
        }
    }

    proptest! {
        #[test]
        fn nothing_but_sequences_is_lost(parts in prop::collection::vec("[a-zé\\[\\];0-9 ]{0,8}", 0..8)) {
            let coloured = parts.join("\x1b[1;31m");
            prop_assert_eq!(without_colours(&coloured), parts.concat());
        }

        #[test]
        fn any_text_is_read(text in "[\x1b\\[\\]()\\\\;m0-9é\x07]*") {
            prop_assert!(without_colours(&text).len() <= text.len());
        }
    }
}
