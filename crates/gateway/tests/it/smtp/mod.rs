//! A mail server of our own: SMTP as RFC 5321 has it, STARTTLS (RFC 3207), TLS from the beginning (RFC 8314), AUTH PLAIN
//! and LOGIN (RFC 4954). It keeps what it is sent and refuses what a strict server refuses.
//! The stories about codes run it beside the server.
//! It never takes a command out of turn, a line without CR LF, or a mail before TLS where TLS is asked for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::world::PATIENCE;

/// Longest line with its end, in bytes (RFC 5321 §4.5.3.1.4, §4.5.3.1.6).
const LINE_BYTES: usize = 1000;
/// The authority that has signed for this server, for `mail.ca_file`.
pub(crate) const AUTHORITY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/smtp/authority.pem");

/// How connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Not at all, and nothing is offered.
    None,
    /// STARTTLS is offered, and nothing is taken before it.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// Something that goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The recipient is refused for good.
    NoSuchMailbox,
    /// The recipient is refused for now.
    TryAgainLater,
    /// The content is refused for good.
    ContentRefused,
    /// The connection ends in the middle of the dialogue.
    HangUp,
}

/// A mail as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Headers and body, without dot-stuffing and soft line breaks.
    pub(crate) text: String,
    /// Whether it came over TLS.
    pub(crate) is_protected: bool,
    /// Who logged in to send it.
    pub(crate) user: Option<String>,
}

impl Mail {
    /// The first run of exactly six digits in the body.
    pub(crate) fn code(&self) -> String {
        let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
        let runs = body.split(|c: char| !c.is_ascii_digit());
        let code = runs.into_iter().find(|run| run.len() == 6);
        code.unwrap_or_else(|| panic!("no code in {}", self.text))
            .to_owned()
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The server.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    mails: Mutex<Vec<Mail>>,
    faults: Mutex<VecDeque<Fault>>,
    came: Notify,
    credentials: Option<(String, String)>,
    /// Commands that were refused because they came out of turn or malformed: there should be none.
    violations: Mutex<Vec<String>>,
}

impl Sink {
    pub(crate) async fn start(protection: Protection) -> Self {
        Self::with(protection, None).await
    }

    /// One that wants to know who sends.
    pub(crate) async fn with(protection: Protection, credentials: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let owned = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
        let shared = Arc::new(Shared {
            credentials: credentials.map(owned),
            ..Shared::default()
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            let tls = acceptor();
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&accepting), tls.clone());
                tokio::spawn(async move {
                    let mut dialogue = Dialogue::new(shared, protection);
                    if protection == Protection::Implicit {
                        let stream = tls.accept(stream).await.ok()?;
                        dialogue.is_protected = true;
                        dialogue.run(BufStream::new(stream), true).await;
                        return Some(());
                    }
                    // a client that goes over to TLS says nothing in the open after that
                    let (stream, wants_tls) = dialogue.run(BufStream::new(stream), true).await?;
                    if wants_tls {
                        let stream = tls.accept(stream.into_inner()).await.ok()?;
                        let mut protected = Dialogue::new(Arc::clone(&dialogue.shared), protection);
                        protected.is_protected = true;
                        protected.run(BufStream::new(stream), false).await;
                    }
                    Some(())
                });
            }
        });
        Self { address, shared }
    }

    /// What goes wrong with the next mails, in this order.
    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.shared.faults.lock().unwrap().extend(faults);
    }

    /// The mail number `index`, as soon as it is there.
    pub(crate) async fn mail(&self, index: usize) -> Mail {
        let arrival = async {
            loop {
                let came = self.shared.came.notified();
                if let Some(mail) = self.shared.mails.lock().unwrap().get(index).cloned() {
                    return mail;
                }
                came.await;
            }
        };
        let mail = tokio::time::timeout(PATIENCE, arrival).await;
        mail.unwrap_or_else(|_| panic!("mail {index} did not come"))
    }

    /// How many have come.
    pub(crate) fn count(&self) -> usize {
        self.shared.mails.lock().unwrap().len()
    }

    /// What was sent against the rules.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.violations.lock().unwrap().clone()
    }
}

fn acceptor() -> TlsAcceptor {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/smtp");
    let certificates = CertificateDer::pem_file_iter(folder.join("server.pem"))
        .unwrap()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What one client has said so far.
#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent facts of a connection"
)]
struct Dialogue {
    shared: Arc<Shared>,
    protection: Protection,
    is_protected: bool,
    is_greeted: bool,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

/// What follows a command.
enum Then {
    Answer(&'static str),
    /// A command out of turn or malformed.
    Violation(&'static str),
    Tls,
    Data,
    Quit,
    HangUp,
}

impl Dialogue {
    fn new(shared: Arc<Shared>, protection: Protection) -> Self {
        Self {
            shared,
            protection,
            is_protected: false,
            is_greeted: false,
            user: None,
            from: None,
            to: Vec::new(),
        }
    }

    /// Speaks until the client leaves, or goes over to TLS: then the stream is given back.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: BufStream<S>,
        greets: bool,
    ) -> Option<(BufStream<S>, bool)> {
        if greets {
            say(&mut stream, "220 sink.test ESMTP").await?;
        }
        loop {
            let line = read_line(&mut stream).await?;
            let Some(line) = line else {
                self.violation("a line without CR LF, or one that is too long");
                say(&mut stream, "500 5.5.2 line ends in CR LF").await?;
                continue;
            };
            let then = if line.to_ascii_uppercase().starts_with("AUTH ") {
                self.authenticate(&mut stream, &line).await?
            } else {
                self.command(&line)
            };
            match then {
                Then::Answer(text) => say(&mut stream, text).await?,
                Then::Violation(text) => {
                    self.violation(&line);
                    say(&mut stream, text).await?;
                }
                Then::Tls => {
                    say(&mut stream, "220 2.0.0 go ahead").await?;
                    return Some((stream, true));
                }
                Then::Data => {
                    say(&mut stream, "354 end with a dot").await?;
                    let text = read_data(&mut stream).await?;
                    let answer = self.take(text);
                    say(&mut stream, answer).await?;
                }
                Then::Quit => {
                    say(&mut stream, "221 2.0.0 bye").await?;
                    return None;
                }
                Then::HangUp => return None,
            }
        }
    }

    fn violation(&self, what: &str) {
        self.shared.violations.lock().unwrap().push(what.to_owned());
    }

    fn fault(&self, wanted: &[Fault]) -> Option<Fault> {
        let mut faults = self.shared.faults.lock().unwrap();
        let next = *faults.front()?;
        wanted.contains(&next).then(|| faults.pop_front())?
    }

    fn command(&mut self, line: &str) -> Then {
        if !line.is_ascii() {
            return Then::Violation("501 5.5.2 only ascii here");
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let needs_tls = self.protection == Protection::StartTls && !self.is_protected;
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" if rest.is_empty() => Then::Violation("501 5.5.4 who are you"),
            "EHLO" => {
                self.is_greeted = true;
                (self.from, self.to) = (None, Vec::new());
                Then::Answer(match (needs_tls, self.shared.credentials.is_some()) {
                    (true, _) => "250-sink.test\r\n250-8BITMIME\r\n250 STARTTLS",
                    (false, true) => "250-sink.test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
                    (false, false) => "250-sink.test\r\n250 8BITMIME",
                })
            }
            "NOOP" => Then::Answer("250 2.0.0 ok"),
            "QUIT" => Then::Quit,
            "RSET" => {
                (self.from, self.to) = (None, Vec::new());
                Then::Answer("250 2.0.0 ok")
            }
            _ if !self.is_greeted => Then::Violation("503 5.5.1 say EHLO first"),
            "STARTTLS" if needs_tls && rest.is_empty() => Then::Tls,
            "STARTTLS" => Then::Violation("503 5.5.1 not now"),
            "MAIL" | "RCPT" | "DATA" if needs_tls => {
                Then::Violation("530 5.7.0 must issue a STARTTLS command first")
            }
            "MAIL" | "RCPT" | "DATA" if !self.is_known() => {
                Then::Violation("530 5.7.0 authentication required")
            }
            "MAIL" if self.from.is_some() => Then::Violation("503 5.5.1 nested MAIL"),
            "MAIL" => match path(rest, "FROM:") {
                Some(from) => {
                    self.from = Some(from);
                    Then::Answer("250 2.1.0 ok")
                }
                None => Then::Violation("501 5.5.4 no path"),
            },
            "RCPT" if self.from.is_none() => Then::Violation("503 5.5.1 MAIL first"),
            "RCPT" => self.recipient(rest),
            "DATA" if self.to.is_empty() => Then::Violation("503 5.5.1 RCPT first"),
            "DATA" => Then::Data,
            _ => Then::Violation("500 5.5.1 unknown command"),
        }
    }

    fn is_known(&self) -> bool {
        self.shared.credentials.is_none() || self.user.is_some()
    }

    fn recipient(&mut self, rest: &str) -> Then {
        let Some(to) = path(rest, "TO:").filter(|to| to.contains('@')) else {
            return Then::Violation("501 5.5.4 no path");
        };
        let wanted = [Fault::NoSuchMailbox, Fault::TryAgainLater, Fault::HangUp];
        match self.fault(&wanted) {
            Some(Fault::NoSuchMailbox) => Then::Answer("550 5.1.1 no such mailbox"),
            Some(Fault::TryAgainLater) => Then::Answer("451 4.3.0 try again later"),
            Some(_) => Then::HangUp,
            None => {
                self.to.push(to);
                Then::Answer("250 2.1.5 ok")
            }
        }
    }

    fn take(&mut self, text: String) -> &'static str {
        let (from, to) = (self.from.take(), std::mem::take(&mut self.to));
        if self.fault(&[Fault::ContentRefused]).is_some() {
            return "554 5.7.1 not wanted";
        }
        let mail = Mail {
            from: from.unwrap_or_default(),
            to,
            text,
            is_protected: self.is_protected,
            user: self.user.clone(),
        };
        self.shared.mails.lock().unwrap().push(mail);
        self.shared.came.notify_waiters();
        "250 2.0.0 taken"
    }

    async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufStream<S>,
        line: &str,
    ) -> Option<Then> {
        if !self.is_greeted || self.shared.credentials.is_none() {
            return Some(Then::Violation("503 5.5.1 not now"));
        }
        if !self.is_protected {
            return Some(Then::Violation("538 5.7.11 encryption required"));
        }
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next()?.to_ascii_uppercase();
        let (user, password) = match mechanism.as_str() {
            "PLAIN" => {
                let text = match words.next() {
                    Some(initial) => initial.to_owned(),
                    None => ask(stream, "334 ").await?,
                };
                let plain = STANDARD.decode(text).ok()?;
                let plain = String::from_utf8(plain).ok()?;
                let mut parts = plain.split('\0').skip(1).map(str::to_owned);
                (parts.next()?, parts.next()?)
            }
            "LOGIN" => {
                let decode = |text: String| String::from_utf8(STANDARD.decode(text).ok()?).ok();
                let user = decode(ask(stream, "334 VXNlcm5hbWU6").await?)?;
                (user, decode(ask(stream, "334 UGFzc3dvcmQ6").await?)?)
            }
            _ => return Some(Then::Violation("504 5.5.4 no such mechanism")),
        };
        if self.shared.credentials.as_ref() != Some(&(user.clone(), password)) {
            return Some(Then::Answer("535 5.7.8 wrong credentials"));
        }
        self.user = Some(user);
        Some(Then::Answer("235 2.7.0 welcome"))
    }
}

/// The address in `FROM:<…>` or `TO:<…>`, with parameters behind it.
fn path(rest: &str, prefix: &str) -> Option<String> {
    let head = rest.get(..prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) {
        return None;
    }
    let (path, _) = rest[prefix.len()..].strip_prefix('<')?.split_once('>')?;
    Some(path.to_owned())
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    text: &str,
) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.write_all(b"\r\n").await.ok()?;
    stream.flush().await.ok()
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    text: &str,
) -> Option<String> {
    say(stream, text).await?;
    read_line(stream).await?
}

/// A line without its end; `Some(None)` for one that breaks the rules, nothing at the end.
async fn read_line<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
) -> Option<Option<String>> {
    let mut line = Vec::new();
    let size = stream.read_until(b'\n', &mut line).await.ok()?;
    if size == 0 {
        return None;
    }
    let text = String::from_utf8_lossy(&line).into_owned();
    let text = text.strip_suffix("\r\n").map(str::to_owned);
    Some(text.filter(|_| size <= LINE_BYTES))
}

/// What comes up to the line with nothing but a dot (RFC 5321 §4.5.2).
async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> Option<String> {
    let mut text = String::new();
    loop {
        let line = read_line(stream).await??;
        if line == "." {
            return Some(text.replace("=\r\n", ""));
        }
        let line = line.strip_prefix('.').unwrap_or(&line);
        text.push_str(line);
        text.push_str("\r\n");
    }
}
