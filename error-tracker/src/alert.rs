//! Alert mails: when one is sent on its own, when many become a digest, and their words. No I/O.
//!
//! Everything in an alert comes from outside, possibly from a browser with a public key. So what goes into a subject or
//! onto a labelled line has no line breaks or control characters left, and what goes into HTML is escaped.

use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use common::clock::Timestamp;

/// A digest lists this many alerts; those beyond are only counted.
pub(crate) const DIGEST_LINES_MAX: usize = 50;
/// What a mail shows of a traceback, bytes.
pub(crate) const TRACEBACK_BYTES_MAX: usize = 12_288;
/// What a mail shows of a message, bytes. The page behind the link has all of it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4_096;

/// What a subject shows of a message, bytes.
const SUBJECT_MESSAGE_BYTES_MAX: usize = 80;
/// What a digest's line shows of a message, bytes.
const LINE_MESSAGE_BYTES_MAX: usize = 160;
/// What a mail shows of a request's method and URL together, bytes.
const REQUEST_BYTES_MAX: usize = 2_048;

/// So many mails may leave at once after a quiet time.
const MAILS_BURST: u32 = 5;
/// Then one mail per minute.
const MAIL_EVERY: Duration = Duration::from_mins(1);

/// Why there is an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// An error seen for the first time.
    New,
    /// A resolved error that came back.
    Regression,
    /// Somebody asked whether mails arrive.
    Test,
}

impl Reason {
    /// The word for the table and the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Regression => "regression",
            Self::Test => "test",
        }
    }

    /// The reason of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::New, Self::Regression, Self::Test].into_iter().find(|reason| reason.name() == name)
    }
}

/// An alert that waits for its mail. For a test alert all but `id` and `reason` is empty.
#[derive(Clone, Debug)]
pub(crate) struct PendingAlert {
    pub(crate) id: i64,
    pub(crate) reason: Reason,
    pub(crate) group_id: i64,
    pub(crate) project: String,
    pub(crate) exception_type: String,
    /// The start suffices: [`MESSAGE_BYTES_MAX`] and a byte more.
    pub(crate) message: String,
    /// The start suffices: [`TRACEBACK_BYTES_MAX`] and a byte more.
    pub(crate) traceback: String,
    /// Method and URL, if the report had both.
    pub(crate) request: Option<(String, String)>,
    /// How often the error was seen when the alert was raised.
    pub(crate) count: i64,
}

/// Neighbouring rows of the table of alerts: either test alerts or all the others with these ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) ids: RangeInclusive<i64>,
    pub(crate) tests: bool,
}

/// A mail's content; line ends are CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// What may leave now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The oldest pending alert in a mail of its own.
    One,
    /// All pending alerts in one mail.
    Digest,
    /// Nothing before this moment.
    WaitUntil(Timestamp),
}

/// Bounds the rate of mails: a burst of [`MAILS_BURST`], then one per [`MAIL_EVERY`].
#[derive(Debug)]
pub(crate) struct Pace {
    tokens: u32,
    refilled: Timestamp,
}

impl Pace {
    /// A full burst.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { tokens: MAILS_BURST, refilled: now }
    }

    /// Decides about `pending` alerts, at least one; unless it says to wait, a mail of the allowance is used up.
    pub(crate) fn next(&mut self, pending: u64, now: Timestamp) -> Next {
        self.refill(now);
        if self.tokens == 0 {
            return Next::WaitUntil(self.refilled.saturating_add(MAIL_EVERY));
        }
        let enough = pending <= u64::from(self.tokens);
        self.tokens -= 1;
        if enough { Next::One } else { Next::Digest }
    }

    fn refill(&mut self, now: Timestamp) {
        // A clock set back must not stop alerts until it has caught up.
        self.refilled = self.refilled.min(now);
        let due = now.since(self.refilled).as_millis() / MAIL_EVERY.as_millis();
        let missing = MAILS_BURST - self.tokens;
        match u32::try_from(due) {
            Ok(due) if due < missing => {
                self.tokens += due;
                self.refilled = self.refilled.saturating_add(MAIL_EVERY * due);
            }
            _ => *self = Self::new(now),
        }
    }
}

/// The mail for one alert. `base_url` is where the service's pages are.
pub(crate) fn compose(alert: &PendingAlert, base_url: &str) -> Mail {
    if alert.reason == Reason::Test {
        return test_mail(base_url);
    }
    let words = Words::new(alert, base_url);
    Mail { subject: subject(alert), text: text(&words), html: html(&words) }
}

/// One mail for many alerts: `alerts` are the oldest of `total` that wait.
pub(crate) fn digest(alerts: &[PendingAlert], total: u64, base_url: &str) -> Mail {
    let base_url = base_url.trim_end_matches('/');
    let shown = alerts.len().min(DIGEST_LINES_MAX);
    let beyond = total.saturating_sub(shown as u64);
    let mut text = format!("{total} errors need attention.\n\n");
    let mut rows = String::new();
    for alert in &alerts[..shown] {
        let (words, target) = (digest_line(alert), link(base_url, alert.group_id));
        append(&mut text, format_args!("{words}\n  {target}\n"));
        let (words, target) = (Escaped(&words), Escaped(&target));
        append(&mut rows, format_args!("<li style=\"margin:0 0 8px\"><a href=\"{target}\">{words}</a></li>\n"));
    }
    if beyond > 0 {
        append(&mut text, format_args!("and {beyond} more\n"));
        append(&mut rows, format_args!("<li>and {beyond} more</li>\n"));
    }
    append(&mut text, format_args!("\n---\nAll errors: {base_url}/\n"));
    let html = Card {
        color: RED,
        title: &format!("{total} errors need attention"),
        lead: "",
        body: &format!("<ul style=\"padding-left:20px;overflow-wrap:anywhere\">\n{rows}</ul>\n"),
        link: &format!("{base_url}/"),
        button: "All errors",
    }
    .to_string();
    Mail { subject: format!("[error-tracker] {total} errors need attention"), text: crlf(&text), html: crlf(&html) }
}

/// The mail that only says that mails arrive.
pub(crate) fn test_mail(base_url: &str) -> Mail {
    const WORDS: &str = "This is a test alert from error-tracker. Since you can read it, alert mails reach you.";
    let dashboard = format!("{}/", base_url.trim_end_matches('/'));
    let html = Card {
        color: GREEN,
        title: "Alert mails work",
        lead: "",
        body: &format!("<p>{WORDS}</p>\n"),
        link: &dashboard,
        button: "Open the dashboard",
    }
    .to_string();
    Mail {
        subject: "[error-tracker] SMTP test alert".into(),
        text: crlf(&format!("{WORDS}\n\nDashboard: {}\n", dashboard.trim_end_matches('/'))),
        html: crlf(&html),
    }
}

/// What both parts of an alert's mail say, made harmless for text, not yet escaped for HTML.
struct Words {
    heading: String,
    exception_type: String,
    message: String,
    request: Option<String>,
    traceback: String,
    id: i64,
    link: String,
}

impl Words {
    fn new(alert: &PendingAlert, base_url: &str) -> Self {
        let project = one_line(&alert.project);
        Self {
            heading: match alert.reason {
                Reason::Regression => {
                    format!("Regression in {project}: a resolved error came back (seen {} times)", alert.count)
                }
                Reason::New | Reason::Test => format!("New error in {project}"),
            },
            exception_type: one_line(&alert.exception_type),
            message: cut_block(&alert.message, MESSAGE_BYTES_MAX, "[message truncated]"),
            request: alert.request.as_ref().map(|(method, url)| {
                one_line(&cut_block(&format!("{method} {url}"), REQUEST_BYTES_MAX, "[truncated]"))
            }),
            traceback: cut_block(&alert.traceback, TRACEBACK_BYTES_MAX, "[traceback truncated]"),
            id: alert.group_id,
            link: link(base_url.trim_end_matches('/'), alert.group_id),
        }
    }
}

fn subject(alert: &PendingAlert) -> String {
    let message = cut(&alert.message, SUBJECT_MESSAGE_BYTES_MAX);
    let what = if alert.reason == Reason::Regression { "regression: " } else { "" };
    let PendingAlert { project, exception_type, group_id, .. } = alert;
    // A mail reader would decode "=?…?=" and show what it hides; no honest error has it in its first words.
    one_line(&format!("[{project}] {what}{exception_type}: {message} (#{group_id})")).replace("=?", "= ?")
}

fn text(words: &Words) -> String {
    let Words { heading, exception_type, message, request, traceback, id, link } = words;
    let mut text =
        format!("{heading}\n\nError ID: #{id}\nDetail: /errors/{id}\nLink: {link}\nException: {exception_type}\n");
    // Indented, so that no line of a message can pass for one of ours.
    append(&mut text, format_args!("Message: {}\n", message.replace('\n', "\n  ")));
    if let Some(request) = request {
        append(&mut text, format_args!("Request: {request}\n"));
    }
    append(&mut text, format_args!("\nTraceback:\n{traceback}\n\n---\n{link}\n"));
    crlf(&text)
}

fn html(words: &Words) -> String {
    let Words { heading, exception_type, message, request, traceback, id, link } = words;
    let mut body = format!("<p {ROW_STYLE}><b>Error</b> #{id} (/errors/{id})</p>\n");
    if let Some(request) = request {
        append(&mut body, format_args!("<p {ROW_STYLE}><b>Request</b> {}</p>\n", Escaped(request)));
    }
    append(&mut body, format_args!("<pre {PRE_STYLE}>{}</pre>\n", Escaped(traceback)));
    let lead = format!("{exception_type}: {message}");
    crlf(&Card { color: RED, title: heading, lead: &lead, body: &body, link, button: "Open the error" }.to_string())
}

const RED: &str = "#b91c1c";
const GREEN: &str = "#15803d";
const ROW_STYLE: &str = "style=\"margin:0 0 8px;overflow-wrap:anywhere\"";
const PRE_STYLE: &str = "style=\"padding:12px;background:#f4f4f5;border-radius:6px;font-size:12px;\
    white-space:pre-wrap;overflow-wrap:anywhere\"";

/// The frame of all HTML parts: a coloured banner, a body that is HTML already, a button, a footer.
struct Card<'a> {
    color: &'a str,
    title: &'a str,
    /// Under the title.
    lead: &'a str,
    body: &'a str,
    link: &'a str,
    button: &'a str,
}

impl fmt::Display for Card<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { color, title, lead, body, link, button } = self;
        let (title, lead, link, button) = (Escaped(title), Escaped(lead), Escaped(link), Escaped(button));
        write!(
            f,
            "<!DOCTYPE html>\n<html><body style=\"margin:0;padding:16px;background:#e4e4e7;font-family:sans-serif\">\n\
             <div style=\"max-width:640px;margin:auto;background:#fff;color:#18181b;border-radius:8px;overflow:hidden\">\n\
             <div style=\"padding:16px;background:{color};color:#fff;overflow-wrap:anywhere\">\n\
             <h1 style=\"margin:0;font-size:18px\">{title}</h1>\n\
             <div style=\"white-space:pre-wrap\">{lead}</div></div>\n\
             <div style=\"padding:16px\">\n{body}\
             <p><a href=\"{link}\" style=\"display:inline-block;padding:10px 16px;background:{color};color:#fff;\
             border-radius:6px;text-decoration:none\">{button}</a></p>\n\
             <p style=\"color:#71717a;font-size:12px\">You get this mail because your address is in ALERT_EMAILS.</p>\n\
             </div></div></body></html>\n"
        )
    }
}

/// Text as it must stand in HTML, in attributes too.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(place) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..place])?;
            f.write_str(match rest.as_bytes()[place] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[place + 1..];
        }
        f.write_str(rest)
    }
}

fn digest_line(alert: &PendingAlert) -> String {
    let PendingAlert { group_id, project, exception_type, .. } = alert;
    let message = cut(&alert.message, LINE_MESSAGE_BYTES_MAX);
    let what = if alert.reason == Reason::Regression { "regression: " } else { "" };
    one_line(&format!("#{group_id} [{project}] {what}{exception_type}: {message}"))
}

fn link(base_url: &str, group_id: i64) -> String {
    format!("{base_url}/errors/{group_id}")
}

/// The first `bytes_max` bytes, fewer where that would split a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Text of several lines: bounded, LF alone between lines, no control characters but tabs.
fn cut_block(text: &str, bytes_max: usize, note: &str) -> String {
    let shown = cut(text, bytes_max);
    let mut block: String = shown
        .chars()
        .filter(|c| *c != '\r')
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c })
        .collect();
    if shown.len() < text.len() {
        block.push('\n');
        block.push_str(note);
    }
    block
}

/// Line breaks and other control characters become spaces.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// `text` has LF alone.
fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn append(text: &mut String, words: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(words);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BASE_URL: &str = "https://errors.example.com/";

    fn alert() -> PendingAlert {
        PendingAlert {
            id: 7,
            reason: Reason::New,
            group_id: 42,
            project: "shop".into(),
            exception_type: "ValueError".into(),
            message: "no such article".into(),
            traceback: "Traceback (most recent call last):\n  File \"app.py\", line 3\nValueError: no such article"
                .into(),
            request: Some(("GET".into(), "https://shop.example/articles/9".into())),
            count: 1,
        }
    }

    /// Compares the subject and the plain part with `tests/golden/mail/NAME.txt`; `UPDATE_GOLDEN=1` rewrites it.
    #[track_caller]
    fn check_golden(name: &str, mail: &Mail) {
        check_line_ends(mail);
        let actual = format!("Subject: {}\n\n{}", mail.subject, mail.text.replace("\r\n", "\n"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mail").join(name).with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, actual).expect("the golden folder");
        } else {
            let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(actual, expected, "{}", path.display());
        }
    }

    #[track_caller]
    fn check_line_ends(mail: &Mail) {
        for part in [&mail.text, &mail.html] {
            assert_eq!(part.matches('\n').count(), part.matches("\r\n").count(), "a bare LF");
            assert_eq!(part.matches('\r').count(), part.matches("\r\n").count(), "a bare CR");
        }
        assert!(!mail.subject.contains(char::is_control), "{:?}", mail.subject);
    }

    #[test]
    fn a_new_error_has_all_labels() {
        check_golden("new", &compose(&alert(), BASE_URL));
    }

    #[test]
    fn a_regression_says_so() {
        check_golden(
            "regression",
            &compose(&PendingAlert { reason: Reason::Regression, count: 12, ..alert() }, BASE_URL),
        );
    }

    #[test]
    fn an_alert_without_a_request_has_no_such_line() {
        let alert = PendingAlert { request: None, ..alert() };
        check_golden("no-request", &compose(&alert, BASE_URL));
        assert!(!html(&Words::new(&alert, BASE_URL)).contains("Request"));
    }

    #[test]
    fn line_breaks_cannot_leave_their_field() {
        let alert = PendingAlert {
            project: "shop\r\nBcc: evil@example.com".into(),
            exception_type: "E\nX-Evil: 1".into(),
            message: "first\r\nLink: https://evil.example\r.\r\nMAIL FROM:<evil@example.com>\0".into(),
            traceback: "one\n.\nMAIL FROM:<evil@example.com>\r\n.\r\ntwo\u{1b}[31m\ttabs stay".into(),
            request: Some(("GET\nX".into(), "/a\r\nDetail: /errors/1".into())),
            ..alert()
        };
        check_golden("injection", &compose(&alert, BASE_URL));
        let digest = digest(&[alert], 1, BASE_URL);
        check_line_ends(&digest);
        assert!(!digest.text.contains("\nBcc"));
    }

    #[test]
    fn a_subject_hides_nothing_behind_encoded_words() {
        let alert = PendingAlert { project: "=?utf-8?b?RXZpbA==?=".into(), ..alert() };
        assert!(!compose(&alert, BASE_URL).subject.contains("=?"));
    }

    #[test]
    fn html_is_escaped() {
        let evil = "<script>alert('1')</script>\" onload=\"x&y";
        let alert = PendingAlert {
            project: evil.into(),
            exception_type: evil.into(),
            message: evil.into(),
            traceback: evil.into(),
            request: Some(("GET".into(), evil.into())),
            ..alert()
        };
        for mail in [compose(&alert, BASE_URL), digest(&[alert.clone(), alert], 2, BASE_URL)] {
            assert!(!mail.html.contains("<script"), "{}", mail.html);
            assert!(!mail.html.contains("onload=\""), "{}", mail.html);
            assert!(mail.html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x&amp;y"));
        }
    }

    #[test]
    fn long_fields_are_cut_between_characters() {
        // Three bytes each, so that no limit falls between two of them.
        let long = "€".repeat(20_000);
        let mail = compose(&PendingAlert { message: long.clone(), traceback: long, ..alert() }, BASE_URL);
        assert_eq!(mail.subject, format!("[shop] ValueError: {} (#42)", "€".repeat(26)));
        assert!(mail.text.contains(&format!("Message: {}\r\n  [message truncated]\r\n", "€".repeat(1_365))));
        assert!(mail.text.contains(&format!("Traceback:\r\n{}\r\n[traceback truncated]\r\n", "€".repeat(4_096))));
        assert!(mail.html.contains("[traceback truncated]"));
    }

    #[test]
    fn what_just_fits_is_not_cut() {
        let exact = PendingAlert { traceback: "x".repeat(TRACEBACK_BYTES_MAX), ..alert() };
        assert!(!compose(&exact, BASE_URL).text.contains("truncated"));
        let over = PendingAlert { traceback: "x".repeat(TRACEBACK_BYTES_MAX + 1), ..alert() };
        assert!(compose(&over, BASE_URL).text.contains("\r\n[traceback truncated]\r\n"));
    }

    #[test]
    fn a_base_url_may_end_with_a_slash_or_not() {
        for base_url in ["http://localhost:5010", "http://localhost:5010/", "http://localhost:5010//"] {
            let mail = compose(&alert(), base_url);
            assert!(mail.text.contains("Link: http://localhost:5010/errors/42\r\n"), "{}", mail.text);
            assert!(mail.html.contains("href=\"http://localhost:5010/errors/42\""));
            assert!(test_mail(base_url).text.contains("Dashboard: http://localhost:5010\r\n"));
        }
    }

    #[test]
    fn a_digest_lists_up_to_its_limit() {
        let regression = PendingAlert { group_id: 5, reason: Reason::Regression, ..alert() };
        check_golden("digest", &digest(&[alert(), regression], 2, BASE_URL));
        let mail = digest(&vec![alert(); DIGEST_LINES_MAX], 1_234, BASE_URL);
        assert_eq!(mail.subject, "[error-tracker] 1234 errors need attention");
        assert_eq!(mail.text.matches("/errors/42").count(), DIGEST_LINES_MAX);
        assert!(mail.text.contains("\r\nand 1184 more\r\n"));
        assert!(mail.html.contains("and 1184 more"));
    }

    #[test]
    fn a_test_alert_says_that_it_is_one() {
        let alert = PendingAlert { reason: Reason::Test, ..alert() };
        let mail = compose(&alert, BASE_URL);
        check_golden("test", &mail);
        assert!(mail.html.contains(GREEN));
    }

    #[test]
    fn a_reason_has_one_name() {
        for reason in [Reason::New, Reason::Regression, Reason::Test] {
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(Reason::from_name("other"), None);
    }

    const START: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn after_seconds(seconds: u64) -> Timestamp {
        START.saturating_add(Duration::from_secs(seconds))
    }

    #[test]
    fn five_mails_leave_at_once_then_one_per_minute() {
        let mut pace = Pace::new(START);
        for _ in 0..5 {
            assert_eq!(pace.next(1, START), Next::One);
        }
        assert_eq!(pace.next(1, START), Next::WaitUntil(after_seconds(60)));
        assert_eq!(pace.next(1, after_seconds(59)), Next::WaitUntil(after_seconds(60)));
        assert_eq!(pace.next(1, after_seconds(61)), Next::One);
        // The next minute counts from the last one, not from when somebody looked.
        assert_eq!(pace.next(1, after_seconds(62)), Next::WaitUntil(after_seconds(120)));
    }

    #[test]
    fn more_than_may_leave_become_a_digest() {
        let mut pace = Pace::new(START);
        assert_eq!(pace.next(6, START), Next::Digest);
        assert_eq!(pace.next(4, START), Next::One);
        assert_eq!(pace.next(4, START), Next::Digest);
    }

    #[test]
    fn a_quiet_time_saves_up_one_burst_at_most() {
        let mut pace = Pace::new(START);
        assert_eq!(pace.next(5, START), Next::One);
        let later = after_seconds(1_000_000);
        assert_eq!(pace.next(6, later), Next::Digest);
        for _ in 0..4 {
            assert_eq!(pace.next(1, later), Next::One);
        }
        assert_eq!(pace.next(1, later), Next::WaitUntil(after_seconds(1_000_060)));
    }

    #[test]
    fn a_clock_set_back_stops_nothing_for_longer_than_a_minute() {
        let mut pace = Pace::new(after_seconds(100_000));
        for _ in 0..5 {
            pace.next(1, after_seconds(100_000));
        }
        assert_eq!(pace.next(1, START), Next::WaitUntil(after_seconds(60)));
        assert_eq!(pace.next(1, after_seconds(60)), Next::One);
    }
}
