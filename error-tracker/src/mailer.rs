//! Delivers mails over SMTP: one session per call, one message per recipient. Alone names lettre and touches its socket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use common::clock::Clock;
use common::env::Secret;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{self, Data, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;

use crate::alert::Mail;

/// Connecting, and each read and write after it.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);
/// A server may check a message before it takes it. Giving up early would make it arrive again with the next attempt
/// (RFC 5321, 4.5.3.2.6, would even allow ten minutes).
const VERDICT_TIMEOUT: Duration = Duration::from_mins(1);
/// TLS from the first byte (RFC 8314); any other port starts in the clear.
const SMTPS_PORT: u16 = 465;
/// The server's "shutting down", after which it says nothing more.
const SERVICE_CLOSING: u16 = 421;
/// What is kept of a server's words, bytes.
const REASON_BYTES_MAX: usize = 500;

/// Where mails go, from whom, to whom.
#[derive(Clone, Debug)]
pub(crate) struct SmtpConfig {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// We log in when both are set.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) from: String,
    pub(crate) recipients: Vec<String>,
    /// More roots to trust, PEM; the public ones are compiled in.
    pub(crate) ca_file: Option<PathBuf>,
    /// Allows the login without TLS.
    pub(crate) plaintext_auth: bool,
}

/// Whom a mail goes to.
#[derive(Clone, Debug)]
pub(crate) struct Recipient(Mailbox);

impl fmt::Display for Recipient {
    /// The bare address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.email.fmt(f)
    }
}

/// How one session went; the recipients to try again are those the caller has left.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Recipients who have the mail now.
    pub(crate) delivered: usize,
    /// Those who will never get it, each with the reason.
    pub(crate) refused: Vec<String>,
    /// Why some are left.
    pub(crate) delayed: Option<String>,
    /// There was no session at all: nobody else's mail would get through now either.
    pub(crate) is_away: bool,
}

/// Speaks to one SMTP server.
pub(crate) struct Mailer {
    host: String,
    port: u16,
    smtps: bool,
    timeout: Duration,
    credentials: Option<Credentials>,
    plaintext_auth: bool,
    from: Mailbox,
    recipients: Vec<Recipient>,
    tls: TlsParameters,
}

/// How a session is protected; the words operators look for in the log.
#[derive(Clone, Copy)]
enum Mode {
    Plain,
    StartTls,
    Smtps,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::StartTls => "STARTTLS",
            Self::Smtps => "SMTPS",
        })
    }
}

/// What went wrong, and what may still go right.
struct Failure {
    reason: String,
    /// It may work later.
    is_temporary: bool,
    /// The session cannot go on.
    ends_session: bool,
}

impl From<lettre::transport::smtp::Error> for Failure {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        let status = error.status();
        let is_temporary = match status {
            Some(code) => code.severity == Severity::TransientNegativeCompletion,
            // Ours to refuse: the server lacks something the message needs. The rest is the network.
            None => !error.is_client(),
        };
        let mut reason = error.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        Self { reason, is_temporary, ends_session: status.is_none_or(|code| u16::from(code) == SERVICE_CLOSING) }
    }
}

impl Failure {
    fn for_good(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_temporary: false, ends_session: true }
    }
}

impl Mailer {
    /// Checks the addresses and reads the CA file, so that mistakes show at start, all of them.
    pub(crate) fn new(config: SmtpConfig) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let from = note(&mut problems, mailbox("SMTP_FROM", &config.from));
        let recipient = |address: &String| note(&mut problems, mailbox("ALERT_EMAILS", address)).map(Recipient);
        let recipients = config.recipients.iter().filter_map(recipient).collect();
        let tls = note(&mut problems, tls_parameters(&config.host, config.ca_file.as_deref()));
        let (Some(from), Some(tls), true) = (from, tls, problems.is_empty()) else { return Err(problems) };
        Ok(Self {
            credentials: config
                .username
                .zip(config.password)
                .map(|(name, password)| Credentials::new(name, password.expose().to_owned())),
            plaintext_auth: config.plaintext_auth,
            from,
            recipients,
            tls,
            host: config.host,
            port: config.port,
            smtps: config.port == SMTPS_PORT,
            timeout: SMTP_TIMEOUT,
        })
    }

    /// All who get alerts.
    pub(crate) fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// Sends the mail to each of `left` in a message of its own. Who got it or never will is taken out of `left`.
    pub(crate) fn deliver(&self, mail: &Mail, left: &mut Vec<Recipient>) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut session, mode) = match self.open() {
            Ok(opened) => opened,
            Err(failure) => {
                outcome.is_away = true;
                for recipient in std::mem::take(left) {
                    outcome.note(&failure, recipient, left);
                }
                return outcome;
            }
        };
        let mut waiting = std::mem::take(left).into_iter();
        for recipient in waiting.by_ref() {
            match self.send(&mut session, mail, &recipient) {
                Ok(()) => {
                    outcome.delivered += 1;
                    log::info!("Email alert sent to {recipient} via SMTP ({mode})");
                }
                Err(failure) => {
                    outcome.note(&failure, recipient, left);
                    // Without a clean state the next message could become part of this one.
                    if failure.ends_session || session.command(Rset).is_err() {
                        break;
                    }
                }
            }
        }
        left.extend(waiting);
        if !left.is_empty() {
            outcome.delayed.get_or_insert_with(|| "the session ended early".into());
        }
        // Politeness: everything that was to be said has been answered.
        let _ = session.quit();
        outcome
    }

    /// Connects, turns to TLS, logs in.
    fn open(&self) -> Result<(SmtpConnection, Mode), Failure> {
        let hello = ClientId::Domain("localhost".into());
        let tls_at_once = self.smtps.then_some(&self.tls);
        let server = (self.host.as_str(), self.port);
        let mut session = SmtpConnection::connect(server, Some(self.timeout), &hello, tls_at_once, None)?;
        let mode = if self.smtps {
            Mode::Smtps
        } else if session.can_starttls() {
            // No way back to clear text from here: whoever can break the handshake could read it.
            session.starttls(&self.tls, &hello)?;
            Mode::StartTls
        } else {
            Mode::Plain
        };
        if let Some(credentials) = &self.credentials {
            if !session.is_encrypted() && !self.plaintext_auth {
                session.abort();
                return Err(Failure::for_good(
                    "the server offers no TLS, so the password was not sent (SMTP_PLAINTEXT_AUTH=true allows it)",
                ));
            }
            let known = [Mechanism::Plain, Mechanism::Login];
            if let Err(error) = session.auth(&known, credentials) {
                session.abort();
                return Err(error.into());
            }
        }
        Ok((session, mode))
    }

    fn send(&self, session: &mut SmtpConnection, mail: &Mail, recipient: &Recipient) -> Result<(), Failure> {
        let message = self.render(mail, recipient)?;
        session.command(commands::Mail::new(Some(self.from.email.clone()), Vec::new()))?;
        session.command(Rcpt::new(recipient.0.email.clone(), Vec::new()))?;
        session.command(Data)?;
        session.set_timeout(Some(VERDICT_TIMEOUT)).map_err(Failure::for_good)?;
        session.message(&message)?;
        session.set_timeout(Some(self.timeout)).map_err(Failure::for_good)
    }

    fn render(&self, mail: &Mail, recipient: &Recipient) -> Result<Vec<u8>, Failure> {
        static MESSAGES: AtomicU64 = AtomicU64::new(0);
        let number = MESSAGES.fetch_add(1, Ordering::Relaxed);
        let now = Clock::System.now().millis();
        let id = format!("<{now}.{number}.{}@{}>", std::process::id(), self.from.email.domain());
        let sent = UNIX_EPOCH + Duration::from_millis(now.unsigned_abs());
        // Tells auto-responders to keep silent (RFC 3834).
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let message = Message::builder()
            .from(self.from.clone())
            .to(recipient.0.clone())
            .subject(mail.subject.clone())
            .date(sent)
            .message_id(Some(id))
            .raw_header(automatic)
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(Failure::for_good)?;
        Ok(message.formatted())
    }
}

impl Outcome {
    /// Files a recipient who did not get the mail.
    fn note(&mut self, failure: &Failure, recipient: Recipient, left: &mut Vec<Recipient>) {
        let words = format!("{recipient}: {}", failure.reason);
        if failure.is_temporary {
            left.push(recipient);
            self.delayed.get_or_insert(words);
        } else {
            self.refused.push(words);
        }
    }
}

fn note<T>(problems: &mut Vec<String>, outcome: Result<T, String>) -> Option<T> {
    outcome.map_err(|problem| problems.push(problem)).ok()
}

/// `name@host` or `Somebody <name@host>`.
fn mailbox(variable: &str, text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text.parse().map_err(|_| format!("{variable}: expected an e-mail address, got {text:?}"))?;
    // Others need SMTPUTF8, which many servers lack.
    let email: &str = mailbox.email.as_ref();
    if !email.is_ascii() {
        return Err(format!("{variable}: expected an address in ASCII (a domain in its xn-- form), got {text:?}"));
    }
    Ok(mailbox)
}

fn tls_parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(path) = ca_file {
        let about = |error: &dyn fmt::Display| format!("SMTP_CA_FILE: {}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| about(&error))?;
        if !pem.windows(PEM_HEAD.len()).any(|window| window == PEM_HEAD) {
            return Err(about(&"expected a certificate in PEM form"));
        }
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| about(&error))?);
    }
    builder.build().map_err(|error| format!("SMTP_HOST, SMTP_CA_FILE: {error}"))
}

const PEM_HEAD: &[u8] = b"-----BEGIN CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::sink::Sink;

    fn config(sink: &Sink) -> SmtpConfig {
        SmtpConfig {
            host: "127.0.0.1".into(),
            port: sink.port,
            username: None,
            password: None,
            from: "errors@example.com".into(),
            recipients: vec!["ada@example.com".into(), "Bob <bob@example.com>".into()],
            ca_file: Some(sink.ca_file.clone()),
            plaintext_auth: false,
        }
    }

    fn with_login(sink: &Sink) -> SmtpConfig {
        SmtpConfig { username: Some("robot".into()), password: Some(Secret::new("s3cret")), ..config(sink) }
    }

    fn mail() -> Mail {
        Mail { subject: "[shop] E: no".into(), text: "plain\r\n".into(), html: "<p>rich</p>\r\n".into() }
    }

    /// Delivers a mail to all; how it went, and who is left.
    fn deliver(mailer: &Mailer, mail: &Mail) -> (Outcome, Vec<String>) {
        let mut left = mailer.recipients().to_vec();
        let outcome = mailer.deliver(mail, &mut left);
        (outcome, left.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn check_delivered(config: SmtpConfig, sink: &Sink, tls: bool) {
        let mailer = Mailer::new(config).expect("a good configuration");
        let (outcome, left) = deliver(&mailer, &mail());
        assert_eq!((outcome.delivered, left.len()), (2, 0), "{outcome:?}");
        for message in sink.wait_for_messages(2) {
            assert_eq!(message["tls"], tls);
            assert_eq!(message["helo"], "localhost");
        }
    }

    /// Nobody got anything; the reason mentions `reason`.
    #[track_caller]
    fn check_away(config: SmtpConfig, sink: &Sink, is_temporary: bool, reason: &str) {
        let (outcome, left) = deliver(&Mailer::new(config).expect("a good configuration"), &mail());
        assert!(outcome.is_away && outcome.delivered == 0, "{outcome:?}");
        assert_eq!(left.len(), if is_temporary { 2 } else { 0 }, "{outcome:?}");
        let reasons = outcome.delayed.clone().unwrap_or_default() + &outcome.refused.join("; ");
        assert!(reasons.contains(reason), "{outcome:?}");
        assert_eq!(sink.messages().len(), 0);
    }

    #[test]
    fn each_recipient_gets_a_message_of_their_own() {
        let sink = Sink::start(&[]);
        check_delivered(config(&sink), &sink, false);
        let messages = sink.messages();
        sink.wait_for_sessions(1);
        assert_eq!(messages[0]["from"], "errors@example.com");
        assert_eq!(messages[0]["to"], serde_json::json!(["ada@example.com"]));
        assert_eq!(messages[1]["to"], serde_json::json!(["bob@example.com"]));
        let data = messages[0]["data"].as_str().expect("text");
        let (head, body) = data.split_once("\r\n\r\n").expect("a head and a body");
        for line in [
            "From: errors@example.com",
            "To: ada@example.com",
            "Subject: [shop] E: no",
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(head.lines().any(|l| l == line), "{line} in {head}");
        }
        assert!(head.contains("\r\nDate: ") && head.contains("\r\nContent-Type: multipart/alternative"), "{head}");
        assert!(body.find("text/plain").expect("plain") < body.find("text/html").expect("html"), "{body}");
        let id = |message: &serde_json::Value| {
            let data = message["data"].as_str().expect("text").to_owned();
            let line = data.lines().find(|line| line.starts_with("Message-ID: <")).expect("an id").to_owned();
            assert!(line.ends_with("@example.com>"), "{line}");
            line
        };
        assert_ne!(id(&messages[0]), id(&messages[1]));
    }

    #[test]
    fn everything_arrives_as_written_and_in_seven_bits() {
        let sink = Sink::start(&[]);
        let mail = Mail {
            subject: format!("[shop] Größe: {} {}", "x".repeat(300), "日本語 end ".repeat(20).trim_end()),
            text: "first\r\n.\r\nMAIL FROM:<evil@example.com>\r\n..\r\nÄ\r\n".into(),
            html: format!("<p>{}</p>\r\n.\r\n", "z".repeat(3_000)),
        };
        let (outcome, _) = deliver(&Mailer::new(config(&sink)).expect("a good configuration"), &mail);
        assert_eq!(outcome.delivered, 2, "{outcome:?}");
        for message in sink.wait_for_messages(2) {
            assert_eq!(message["subject"], mail.subject);
            assert_eq!(message["text"].as_str().expect("text"), mail.text.replace("\r\n", "\n"));
            assert_eq!(message["html"].as_str().expect("text"), mail.html.replace("\r\n", "\n"));
            let data = message["data"].as_str().expect("text");
            assert!(data.is_ascii() && data.lines().all(|line| line.len() <= 998), "{data}");
        }
    }

    #[test]
    fn a_lone_dot_in_seven_bit_text_does_not_end_the_message() {
        let sink = Sink::start(&[]);
        let mail = Mail { text: "first\r\n.\r\nMAIL FROM:<evil@example.com>\r\nlast\r\n".into(), ..mail() };
        let (outcome, _) = deliver(&Mailer::new(config(&sink)).expect("a good configuration"), &mail);
        assert_eq!(outcome.delivered, 2, "{outcome:?}");
        let data = sink.wait_for_messages(2)[0]["data"].as_str().expect("text").to_owned();
        assert!(data.contains(&mail.text) && data.contains("Content-Transfer-Encoding: 7bit"), "{data}");
    }

    #[test]
    fn starttls_is_used_where_offered() {
        let sink = Sink::start(&["--mode", "starttls", "--auth", "robot:s3cret"]);
        check_delivered(with_login(&sink), &sink, true);
        assert_eq!(sink.events("auth")[0]["tls"], true);
        assert_eq!(sink.messages()[0]["username"], "robot");
    }

    #[test]
    fn smtps_is_tls_from_the_first_byte() {
        let sink = Sink::start(&["--mode", "smtps", "--auth", "robot:s3cret"]);
        let mut mailer = Mailer::new(with_login(&sink)).expect("a good configuration");
        assert!(!mailer.smtps);
        // The port that means it is not ours to take in a test.
        mailer.smtps = true;
        assert_eq!(deliver(&mailer, &mail()).0.delivered, 2);
        assert_eq!(sink.wait_for_messages(2)[0]["tls"], true);
        let mailer = Mailer::new(SmtpConfig { port: SMTPS_PORT, ..config(&sink) }).expect("a good configuration");
        assert!(mailer.smtps);
    }

    #[test]
    fn a_certificate_nobody_vouches_for_ends_the_session() {
        let sink = Sink::start(&["--mode", "starttls"]);
        check_away(SmtpConfig { ca_file: None, ..config(&sink) }, &sink, true, "certificate");
    }

    #[test]
    fn a_certificate_for_another_name_ends_the_session() {
        let sink = Sink::start(&["--mode", "starttls", "--name", "other.example"]);
        check_away(config(&sink), &sink, true, "certificate");
    }

    #[test]
    fn a_refused_starttls_is_no_reason_for_clear_text() {
        let sink = Sink::start(&["--mode", "starttls", "--refuse-starttls"]);
        check_away(config(&sink), &sink, true, "454");
    }

    #[test]
    fn d44_a_password_never_travels_in_the_clear() {
        let sink = Sink::start(&["--auth", "robot:s3cret", "--auth-without-tls"]);
        check_away(with_login(&sink), &sink, false, "SMTP_PLAINTEXT_AUTH");
        assert_eq!(sink.events("auth").len(), 0);
    }

    #[test]
    fn a_password_may_travel_in_the_clear_when_allowed() {
        let sink = Sink::start(&["--auth", "robot:s3cret", "--auth-without-tls"]);
        check_delivered(SmtpConfig { plaintext_auth: true, ..with_login(&sink) }, &sink, false);
        assert_eq!(sink.events("auth")[0]["tls"], false);
    }

    #[test]
    fn without_both_halves_there_is_no_login() {
        let sink = Sink::start(&["--mode", "starttls"]);
        check_delivered(SmtpConfig { password: None, ..with_login(&sink) }, &sink, true);
        assert_eq!(sink.events("auth").len(), 0);
    }

    #[test]
    fn a_wrong_password_is_not_tried_again() {
        let sink = Sink::start(&["--mode", "starttls", "--auth", "robot:other"]);
        check_away(with_login(&sink), &sink, false, "535");
    }

    #[test]
    fn a_login_the_server_does_not_offer_is_not_tried_again() {
        let sink = Sink::start(&[]);
        check_away(SmtpConfig { plaintext_auth: true, ..with_login(&sink) }, &sink, false, "authentication");
    }

    #[test]
    fn a_busy_server_is_tried_again() {
        let sink = Sink::start(&["--fail-sessions", "1"]);
        let mailer = Mailer::new(config(&sink)).expect("a good configuration");
        let mut left = mailer.recipients().to_vec();
        let outcome = mailer.deliver(&mail(), &mut left);
        assert_eq!((outcome.delivered, left.len(), outcome.is_away), (0, 2, false), "{outcome:?}");
        assert!(outcome.delayed.is_some_and(|reason| reason.contains("451")));
        assert_eq!(mailer.deliver(&mail(), &mut left).delivered, 2);
        assert_eq!(sink.wait_for_messages(2).len(), 2);
    }

    #[test]
    fn one_refused_recipient_does_not_keep_it_from_the_others() {
        let sink = Sink::start(&["--refuse", "ada@example.com"]);
        let (outcome, left) = deliver(&Mailer::new(config(&sink)).expect("a good configuration"), &mail());
        assert_eq!((outcome.delivered, left.len()), (1, 0), "{outcome:?}");
        assert!(outcome.refused[0].starts_with("ada@example.com: ") && outcome.refused[0].contains("no such user"));
        assert_eq!(sink.wait_for_messages(1)[0]["to"], serde_json::json!(["bob@example.com"]));
    }

    #[test]
    fn one_busy_mailbox_is_all_that_is_left() {
        let sink = Sink::start(&["--delay", "ada@example.com"]);
        let (outcome, left) = deliver(&Mailer::new(config(&sink)).expect("a good configuration"), &mail());
        assert_eq!((outcome.delivered, outcome.is_away), (1, false), "{outcome:?}");
        assert_eq!(left, ["ada@example.com"]);
    }

    #[test]
    fn a_silent_server_is_left_in_time() {
        let sink = Sink::start(&["--hang"]);
        let mut mailer = Mailer::new(config(&sink)).expect("a good configuration");
        assert_eq!(mailer.timeout, SMTP_TIMEOUT);
        mailer.timeout = Duration::from_millis(200);
        let began = Instant::now();
        let (outcome, left) = deliver(&mailer, &mail());
        assert!(outcome.is_away && left.len() == 2, "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn a_missing_server_is_tried_again() {
        let sink = Sink::start(&[]);
        let config = config(&sink);
        drop(sink);
        let config = SmtpConfig { ca_file: None, ..config };
        let (outcome, left) = deliver(&Mailer::new(config).expect("a good configuration"), &mail());
        assert!(outcome.is_away && left.len() == 2, "{outcome:?}");
    }

    #[test]
    fn mistakes_show_at_start() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut SmtpConfig), expected: &str) {
            let mut config = SmtpConfig {
                host: "mail.example.com".into(),
                port: 25,
                username: None,
                password: None,
                from: "errors@localhost".into(),
                recipients: vec!["root@mailhost".into(), "Ada <a@b.c>".into()],
                ca_file: None,
                plaintext_auth: false,
            };
            change(&mut config);
            let problem = Mailer::new(config).err().unwrap_or_default().join("\n");
            assert!(problem.contains(expected) && problem.is_empty() == expected.is_empty(), "{problem:?}");
        }
        check(|_| {}, "");
        check(|config| config.from = "nobody".into(), "SMTP_FROM: expected an e-mail address, got \"nobody\"");
        check(|config| config.from = "a@b.c\r\nBcc: d@e.f".into(), "SMTP_FROM");
        check(|config| config.recipients.push("x@y@z".into()), "ALERT_EMAILS: expected an e-mail address");
        check(|config| config.recipients.push("ä@example.com".into()), "ALERT_EMAILS: expected an address in ASCII");
        check(|config| config.ca_file = Some("/nowhere/ca.pem".into()), "SMTP_CA_FILE: /nowhere/ca.pem: ");
        check(|config| config.ca_file = Some("/etc/hostname".into()), "expected a certificate in PEM form");
    }
}
