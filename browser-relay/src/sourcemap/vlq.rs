//! Decodes `mappings`: Base64 VLQ numbers, each the distance to the one before (ECMA-426, "mappings").

use nanoserde::{DeBin, SerBin};

/// Bits of one digit, and the bit that says that another digit follows.
const DIGIT_BITS: u32 = 5;
const CONTINUES: u8 = 1 << DIGIT_BITS;
/// Positions are 31 bits wide in every reader we know of.
const VALUE_MAX: i64 = i32::MAX as i64;
/// Not a digit.
const NONE: u8 = u8::MAX;
const DIGITS: [u8; 256] = digits();

/// What the distances add up to so far. All counted from 0.
#[expect(unreachable_pub, reason = "nanoserde's derive knows no pub(crate)")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SerBin, DeBin)]
pub struct State {
    pub line: u32,
    pub column: u32,
    pub source: u32,
    pub source_line: u32,
    pub source_column: u32,
    pub name: u32,
}

/// One segment: from `column` of its line on, the generated code comes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// None where the code comes from no source.
    pub(crate) original: Option<Original>,
}

/// Where code comes from. The numbers of source and name may be beyond what the map has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    pub(crate) source: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) name: Option<u32>,
}

/// Why a text is no `mappings`, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) at: usize,
    pub(crate) why: &'static str,
}

/// One part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `,` or `;`: decoding may start again behind it.
    Separator,
    Segment(Segment),
}

/// Reads a text from its start, or from behind any separator with the state that was reached there.
pub(crate) struct Decoder<'a> {
    text: &'a [u8],
    pub(crate) at: usize,
    pub(crate) state: State,
}

impl<'a> Decoder<'a> {
    pub(crate) const fn new(text: &'a [u8], state: State) -> Self {
        Self { text, at: 0, state }
    }

    /// The next part; none at the end of the text.
    pub(crate) fn next(&mut self) -> Result<Option<Token>, Bad> {
        match self.text.get(self.at) {
            None => return Ok(None),
            Some(b',') => self.at += 1,
            Some(b';') => {
                self.at += 1;
                self.state.line += 1;
                self.state.column = 0;
            }
            Some(_) => return self.segment().map(|segment| Some(Token::Segment(segment))),
        }
        Ok(Some(Token::Separator))
    }

    fn segment(&mut self) -> Result<Segment, Bad> {
        let mut state = self.state;
        self.add(&mut state.column)?;
        let mut original = None;
        if self.has_more() {
            self.add(&mut state.source)?;
            self.add(&mut state.source_line)?;
            self.add(&mut state.source_column)?;
            let name = if self.has_more() { self.add(&mut state.name).map(|()| Some(state.name))? } else { None };
            let State { source, source_line: line, source_column: column, .. } = state;
            original = Some(Original { source, line, column, name });
        }
        if self.has_more() {
            return Err(self.bad("a segment has more than five numbers"));
        }
        self.state = state;
        Ok(Segment { line: state.line, column: state.column, original })
    }

    fn has_more(&self) -> bool {
        self.text.get(self.at).is_some_and(|byte| !matches!(byte, b',' | b';'))
    }

    /// Reads a distance and goes it.
    fn add(&mut self, value: &mut u32) -> Result<(), Bad> {
        let sum = i64::from(*value) + self.distance()?;
        if !(0..=VALUE_MAX).contains(&sum) {
            return Err(self.bad("a number is out of range"));
        }
        *value = sum as u32;
        Ok(())
    }

    fn distance(&mut self) -> Result<i64, Bad> {
        let (mut bits, mut shift) = (0_i64, 0);
        loop {
            if !self.has_more() {
                return Err(self.bad("a segment ends within a number, or has two or three numbers"));
            }
            let digit = DIGITS[usize::from(self.text[self.at])];
            if digit == NONE {
                return Err(self.bad("not a Base64 digit"));
            }
            self.at += 1;
            bits |= i64::from(digit & (CONTINUES - 1)) << shift;
            shift += DIGIT_BITS;
            if digit & CONTINUES == 0 {
                break;
            }
            // Seven digits hold what is in range and more.
            if shift >= 7 * DIGIT_BITS {
                return Err(self.bad("a number has too many digits"));
            }
        }
        let magnitude = bits >> 1;
        Ok(if bits & 1 == 1 { -magnitude } else { magnitude })
    }

    const fn bad(&self, why: &'static str) -> Bad {
        Bad { at: self.at, why }
    }
}

const fn digits() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [NONE; 256];
    let mut value = 0;
    while value < alphabet.len() {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Segment, State};

    /// Encodes segments, which are in the order of their lines.
    pub(crate) fn encode(segments: &[Segment]) -> String {
        let (mut text, mut state) = (String::new(), State::default());
        for (number, segment) in segments.iter().enumerate() {
            if segment.line > state.line {
                (state.line..segment.line).for_each(|_| text.push(';'));
                (state.line, state.column) = (segment.line, 0);
            } else if number > 0 {
                text.push(',');
            }
            go(&mut text, &mut state.column, segment.column);
            let Some(original) = segment.original else { continue };
            go(&mut text, &mut state.source, original.source);
            go(&mut text, &mut state.source_line, original.line);
            go(&mut text, &mut state.source_column, original.column);
            if let Some(name) = original.name {
                go(&mut text, &mut state.name, name);
            }
        }
        text
    }

    fn go(text: &mut String, from: &mut u32, to: u32) {
        let distance = i64::from(to) - i64::from(*from);
        *from = to;
        let mut bits = if distance < 0 { (-distance << 1) | 1 } else { distance << 1 };
        loop {
            let digit = (bits & 31) as u8 | if bits > 31 { 32 } else { 0 };
            text.push(char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(digit)],
            ));
            bits >>= 5;
            if bits == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> Result<Vec<Segment>, Bad> {
        let mut decoder = Decoder::new(text.as_bytes(), State::default());
        let mut segments = Vec::new();
        while let Some(token) = decoder.next()? {
            if let Token::Segment(segment) = token {
                segments.push(segment);
            }
        }
        Ok(segments)
    }

    #[track_caller]
    fn refused(text: &str, at: usize, why: &str) {
        let bad = decode(text).expect_err(text);
        assert!(bad.at == at && bad.why.contains(why), "{text}: {bad:?}");
    }

    fn segments() -> impl Strategy<Value = Vec<Segment>> {
        let edge = prop_oneof![0..100_u32, Just(0), Just(i32::MAX as u32), 0..i32::MAX as u32];
        let original = (edge.clone(), edge.clone(), edge.clone(), proptest::option::of(edge.clone()))
            .prop_map(|(source, line, column, name)| Original { source, line, column, name });
        let segment = (0..3_u32, edge, proptest::option::of(original));
        proptest::collection::vec(segment, 0..50).prop_map(|parts| {
            let mut line = 0;
            let place = |(lines, column, original)| {
                line += lines;
                Segment { line, column, original }
            };
            parts.into_iter().map(place).collect()
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(segments in segments()) {
            prop_assert_eq!(decode(&testing::encode(&segments)), Ok(segments));
        }

        #[test]
        fn decoding_can_start_behind_any_separator(segments in segments()) {
            let text = testing::encode(&segments);
            let mut decoder = Decoder::new(text.as_bytes(), State::default());
            while let Some(token) = decoder.next().expect("valid") {
                if token == Token::Separator {
                    let mut later = Decoder::new(&text.as_bytes()[decoder.at..], decoder.state);
                    let mut rest = Vec::new();
                    while let Some(token) = later.next().expect("valid") {
                        rest.extend(if let Token::Segment(segment) = token { Some(segment) } else { None });
                    }
                    prop_assert_eq!(&segments[segments.len() - rest.len()..], &rest);
                }
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in "[A-Za-z0-9+/,;=]{0,80}") {
            for segment in decode(&text).unwrap_or_default() {
                prop_assert!(i32::try_from(segment.column).is_ok());
            }
        }
    }

    #[test]
    fn what_is_no_mapping_is_refused_where_it_stands() {
        refused("A!", 1, "Base64");
        refused("AA", 2, "two or three");
        refused("AAA;", 3, "two or three");
        refused("g", 1, "within a number");
        refused("AAAAAA", 5, "more than five");
        refused("D", 1, "out of range");
        refused("AADA", 3, "out of range");
        refused("+/////D,C", 9, "out of range");
        refused("gggggggA", 7, "too many digits");
        refused("A\u{e9}", 1, "Base64");
    }

    #[test]
    fn empty_segments_mean_nothing() {
        let segment = Segment { line: 2, column: 1, original: None };
        assert_eq!(decode(";;,C,,"), Ok(vec![segment]));
        assert_eq!(decode(""), Ok(Vec::new()));
    }
}
