//! The chunked transfer coding, decoded piece by piece (RFC 9112, section 7.1).

/// Size lines, extensions and trailers may take so much of a body; more is an attack.
const OVERHEAD_BYTES_MAX: usize = 64 << 10;
/// The longest size line or trailer line.
const LINE_BYTES_MAX: usize = 1024;

/// Decodes chunks as they arrive.
#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
    overhead: usize,
}

#[derive(Debug, PartialEq)]
enum State {
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Done,
}

/// Why a chunked body cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadChunks {
    Malformed,
    TooLarge,
}

impl Chunks {
    pub(crate) const fn new() -> Self {
        Self { state: State::Size, overhead: 0 }
    }

    /// Takes what it can from `input`, appends the data to `body`, and returns how much it took. The rest of `input`
    /// belongs to the next call, or to the next request once [`Self::is_done`].
    pub(crate) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>, limit: usize) -> Result<usize, BadChunks> {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            match self.state {
                State::Done => return Ok(taken),
                State::Data(missing) => {
                    let now = missing.min(rest.len());
                    body.extend_from_slice(&rest[..now]);
                    taken += now;
                    self.state = if now == missing { State::DataEnd } else { State::Data(missing - now) };
                    if now < missing {
                        return Ok(taken);
                    }
                }
                State::Size | State::DataEnd | State::Trailer => {
                    let Some(line) = line(rest)? else { return Ok(taken) };
                    taken += line.len() + 2;
                    self.overhead += line.len() + 2;
                    if self.overhead > OVERHEAD_BYTES_MAX {
                        return Err(BadChunks::TooLarge);
                    }
                    self.after_line(line, limit.saturating_sub(body.len()))?;
                }
            }
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn after_line(&mut self, line: &[u8], room: usize) -> Result<(), BadChunks> {
        self.state = match self.state {
            State::Size => match chunk_size(line)? {
                0 => State::Trailer,
                size if size > room => return Err(BadChunks::TooLarge),
                size => State::Data(size),
            },
            State::DataEnd if line.is_empty() => State::Size,
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => return Err(BadChunks::Malformed),
        };
        Ok(())
    }
}

/// The text before CR LF; none when the line has not ended yet.
fn line(input: &[u8]) -> Result<Option<&[u8]>, BadChunks> {
    match input.iter().position(|b| *b == b'\n') {
        Some(end)
            if (1..=LINE_BYTES_MAX).contains(&end) && input[end - 1] == b'\r' && !input[..end - 1].contains(&b'\r') =>
        {
            Ok(Some(&input[..end - 1]))
        }
        Some(_) => Err(BadChunks::Malformed),
        None if input.len() > LINE_BYTES_MAX => Err(BadChunks::Malformed),
        None => Ok(None),
    }
}

/// Hexadecimal digits, then possibly an extension, which means nothing to us.
fn chunk_size(line: &[u8]) -> Result<usize, BadChunks> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end();
    let text = std::str::from_utf8(digits).map_err(|_| BadChunks::Malformed)?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(BadChunks::Malformed);
    }
    usize::from_str_radix(text, 16).map_err(|_| BadChunks::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(input: &str, expected: Result<(&str, &str), BadChunks>) {
        let mut body = Vec::new();
        let mut chunks = Chunks::new();
        let outcome = chunks.decode(input.as_bytes(), &mut body, 100).map(|taken| {
            assert!(chunks.is_done(), "{input:?} should be complete");
            (String::from_utf8(body).expect("text"), input[taken..].to_owned())
        });
        assert_eq!(outcome, expected.map(|(body, rest)| (body.to_owned(), rest.to_owned())), "{input:?}");
    }

    #[test]
    fn decodes() {
        check("0\r\n\r\n", Ok(("", "")));
        check("3\r\nabc\r\n0\r\n\r\nGET", Ok(("abc", "GET")));
        check("A;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", Ok(("0123456789", "")));
    }

    #[test]
    fn refuses() {
        check("x\r\n", Err(BadChunks::Malformed));
        check("-1\r\n", Err(BadChunks::Malformed));
        check("\r\n", Err(BadChunks::Malformed));
        check("3\nabc\r\n", Err(BadChunks::Malformed));
        check("3\r\nabcd\r\n", Err(BadChunks::Malformed));
        check("65\r\n", Err(BadChunks::TooLarge));
        check("ffffffffffffffffff\r\n", Err(BadChunks::TooLarge));
        // However much of a line is here at once.
        check(&"0".repeat(2000), Err(BadChunks::Malformed));
        check(&format!("0;{}\r\n\r\n", "x".repeat(2000)), Err(BadChunks::Malformed));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_body_is_the_same(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..5),
            cut in 1usize..7,
        ) {
            let mut wire = Vec::new();
            for part in &parts {
                wire.extend(format!("{:x}\r\n", part.len()).bytes());
                wire.extend(part);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");

            let (mut chunks, mut body, mut pending) = (Chunks::new(), Vec::new(), Vec::new());
            for piece in wire.chunks(cut) {
                pending.extend_from_slice(piece);
                let taken = chunks.decode(&pending, &mut body, 1000).expect("well-formed");
                pending.drain(..taken);
            }
            prop_assert!(chunks.is_done());
            prop_assert_eq!(body, parts.concat());
        }
    }
}
