//! The log: one line per event on stderr, `2026-01-20T10:00:00.123Z level=info target message`. What is in a message,
//! `key=value` or words, is up to whoever writes it.

use std::io::{self, Write as _};

use ::log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::{Clock, Timestamp};

/// What is kept of a message. It may repeat what a stranger sent.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// From now on events of `level` and above are written. The first call in a process wins.
pub fn init(level: LevelFilter) {
    // Fails only when there is a logger already, as in a test that starts two services.
    if ::log::set_logger(&Stderr).is_ok() {
        ::log::set_max_level(level);
    }
}

/// The line for one event, its end included. Line breaks and other control characters within are escaped, and what is
/// longer than 8 KB is cut.
pub fn render(now: Timestamp, level: Level, target: &str, message: &str) -> String {
    let kept = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    let mut line = format!("{} level={} ", now.with_millis(), word(level));
    push_escaped(&mut line, target);
    line.push(' ');
    push_escaped(&mut line, kept);
    if kept.len() < message.len() {
        line.push('…');
    }
    line.push('\n');
    line
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        let line = render(Clock::System.now(), record.level(), record.target(), &message);
        // One write, so that lines of two threads do not mix. If stderr is gone there is nowhere to say so.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn push_escaped(line: &mut String, text: &str) {
    for char in text.chars() {
        if breaks_line(char) {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
}

/// Control characters steer terminals, and the two separators end lines for some readers.
fn breaks_line(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let line = render(Timestamp::from_millis(1_768_903_200_123), Level::Info, "relay", message);
        assert_eq!(line, format!("2026-01-20T10:00:00.123Z level=info relay {expected}\n"));
    }

    #[test]
    fn one_event_is_one_line() {
        check("started port=8000", "started port=8000");
        check("", "");
        check("a\r\nb\tc\0", r"a\r\nb\tc\u{0}");
        check("\u{1b}[31mred\u{7f}\u{85}\u{2028}\u{2029}", r"\u{1b}[31mred\u{7f}\u{85}\u{2028}\u{2029}");
        check(r#"é "quoted" C:\new"#, r#"é "quoted" C:\new"#);
    }

    #[test]
    fn long_messages_are_cut() {
        let fits = "é".repeat(MESSAGE_BYTES_MAX / 2);
        check(&fits, &fits);
        check(&format!("{fits}!"), &format!("{fits}…"));
        check(&format!("x{fits}"), &format!("x{}…", "é".repeat(MESSAGE_BYTES_MAX / 2 - 1)));
    }

    #[test]
    fn names_levels_and_targets() {
        let now = Timestamp::from_millis(0);
        assert_eq!(render(now, Level::Error, "a\nb", "x"), "1970-01-01T00:00:00.000Z level=error a\\nb x\n");
        for level in Level::iter() {
            assert_eq!(word(level), level.as_str().to_ascii_lowercase());
        }
    }

    #[test]
    fn honours_the_level() {
        ::log::set_max_level(LevelFilter::Warn);
        let enabled = |level| Stderr.enabled(&Metadata::builder().level(level).build());
        assert!(enabled(Level::Error) && enabled(Level::Warn) && !enabled(Level::Info));
    }
}
