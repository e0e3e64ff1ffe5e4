//! What people type to find lines, as something that can be looked for: an FTS5 expression, the same text taken
//! literally, or a part of a line.

use memchr::{memchr, memchr2_iter};

/// What is searched for is a line, not a book; and each word of an expression opens some 100 KB of the index.
pub(crate) const SEARCH_BYTES_MAX: usize = 1000;
/// Words in an expression.
const WORDS_MAX: usize = 32;
const OPERATORS: [&str; 4] = ["AND", "OR", "NOT", "NEAR"];
/// Prefixes in an expression: each gathers all its hits in memory.
const PREFIXES_MAX: usize = 3;
/// Words of a literal text that are looked up; what follows is compared with the lines that have these.
const PHRASE_WORDS_MAX: usize = 16;

/// The text as an FTS5 expression; none when it must not be one. SQLite may refuse it still.
pub(crate) fn expression(text: &str) -> Option<&str> {
    // FTS5 reads up to the first NUL, and takes a star in front for a command.
    let is_command = text.trim_start().starts_with('*');
    let terms = words(text).filter(|(_, word)| !OPERATORS.contains(word));
    let is_small = terms.count() <= WORDS_MAX && text.matches('*').count() <= PREFIXES_MAX;
    (!is_command && is_small && memchr(0, text.as_bytes()).is_none()).then_some(text)
}

/// A text taken literally: its words, in this order and with nothing between them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// The FTS5 expression.
    pub(crate) phrase: String,
    /// What the lines it finds must hold besides, when the phrase is not the whole text.
    pub(crate) rest: Option<Needle>,
}

impl Literal {
    pub(crate) fn new(text: &str) -> Self {
        let end = words(text).nth(PHRASE_WORDS_MAX - 1).map_or(text.len(), |(at, word)| at + word.len());
        let phrase = format!("\"{}\"", text[..end].replace(['"', '\0'], " "));
        let is_whole = words(&text[end..]).next().is_none();
        Self { phrase, rest: (!is_whole).then(|| Needle::new(text)) }
    }
}

/// Whether there is anything in the text that the index knows.
pub(crate) fn has_words(text: &str) -> bool {
    words(text).next().is_some()
}

/// About what FTS5 takes for words, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    parts.map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// A part of a line, in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needle {
    /// In lower case.
    text: String,
    /// Where its rarest character is, for which lines are looked through.
    rarest: usize,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let rarest = (0..text.len()).min_by_key(|at| commonness(text.as_bytes()[*at])).unwrap_or(0);
        Self { text, rarest }
    }

    pub(crate) fn is_in(&self, line: &str) -> bool {
        if line.is_ascii() { self.is_in_ascii(line.as_bytes()) } else { line.to_lowercase().contains(&self.text) }
    }

    fn is_in_ascii(&self, line: &[u8]) -> bool {
        let needle = self.text.as_bytes();
        let Some(rarest) = needle.get(self.rarest) else { return true };
        let fits = |at: usize| {
            let begin = at.checked_sub(self.rarest)?;
            Some(line.get(begin..begin + needle.len())?.eq_ignore_ascii_case(needle))
        };
        memchr2_iter(*rarest, rarest.to_ascii_uppercase(), line).any(|at| fits(at) == Some(true))
    }
}

/// How often a byte turns up in logs, by and large.
fn commonness(byte: u8) -> usize {
    const FROM_RARE: &[u8] = b"zqxjkvwybgpfumchld\"-.:/0123456789rsniotae ";
    FROM_RARE.iter().position(|known| *known == byte).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, phrase: &str) {
        assert_eq!(Literal::new(text), Literal { phrase: phrase.into(), rest: None });
    }

    #[test]
    fn a_literal_text_is_a_phrase() {
        check("10.0.0.1", "\"10.0.0.1\"");
        check("can't", "\"can't\"");
        check("say \"hi\"\0", "\"say  hi  \"");
    }

    #[test]
    fn a_long_literal_text_is_looked_up_by_its_first_words() {
        let text = "word, ".repeat(PHRASE_WORDS_MAX);
        assert_eq!(Literal::new(&text).rest, None);
        let literal = Literal::new(&format!("{text}end"));
        assert_eq!(literal.phrase, format!("\"{}\"", text.trim_end_matches(", ")));
        assert_eq!(literal.rest, Some(Needle::new(&format!("{text}end"))));
    }

    #[test]
    fn commands_and_monsters_are_no_expressions() {
        assert_eq!(
            expression("slow AND (query OR \"cache miss\") NOT hel*"),
            Some("slow AND (query OR \"cache miss\") NOT hel*")
        );
        let many = ["a"; WORDS_MAX].join(" OR ");
        assert_eq!(expression(&many), Some(many.as_str()));
        for text in ["*reads", "  *id", "a\0b", "a* b* c* d*", &"a ".repeat(WORDS_MAX + 1)] {
            assert_eq!(expression(text), None, "{text:?}");
        }
    }

    #[test]
    fn words_are_letters_and_digits() {
        assert!(["a", "7", "é", "(x)", "日"].into_iter().all(has_words));
        assert!(!["", "***", "→ …", "\0", "_", "🦀"].into_iter().any(has_words));
    }

    proptest! {
        #[test]
        fn a_needle_is_found_as_by_lower_case(line in "[ab:É ]{0,12}", needle in "[aB:é]{0,3}") {
            prop_assert_eq!(Needle::new(&needle).is_in(&line), line.to_lowercase().contains(&needle.to_lowercase()));
        }

        #[test]
        fn any_text_is_quoted(text: String) {
            let literal = Literal::new(&text);
            prop_assert_eq!(literal.phrase.matches('"').count(), 2);
        }
    }
}
