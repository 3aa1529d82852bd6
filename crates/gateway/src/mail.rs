//! Mail out: one SMTP server, a bounded number of mails that wait for it.
//! Used by `survey` for its codes.
//! Never says in a log to whom or what: an address and a code are nobody's business.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::sync::{Semaphore, oneshot};

use crate::config;
use crate::lifecycle::Lifecycle;
use crate::observe::Metrics;

/// The port on which TLS begins with the connection (RFC 8314 §3.3).
const TLS_PORT: u16 = 465;
/// Connections to the server at the same time.
const CONNECTIONS: u32 = 8;
/// How long a connection without work is kept.
const KEPT: Duration = Duration::from_secs(30);
/// Between attempts at a mail that the server does not take at present; after the last it is given up.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_mins(1),
];

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailSettings {
    /// The certificates cannot be read.
    #[error("cannot read the certificates of mail.ca_file, {path}: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server's name is none, or TLS cannot be set up.
    #[error("cannot prepare TLS for mail.host: {0}")]
    Tls(String),
}

/// A mail in plain text.
#[derive(Clone)]
pub(crate) struct Mail {
    /// To whom.
    pub(crate) to: String,
    /// One line.
    pub(crate) subject: String,
    /// Plain text.
    pub(crate) body: String,
}

/// What has become of a mail by the time its sender asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    /// The server has taken it.
    Sent,
    /// The server does not answer or does not take it at present; it is tried again for a while.
    Delayed,
    /// The server will not take it.
    Refused,
    /// Too many are waiting already.
    Full,
    /// There is no server to send it to.
    NoServer,
}

impl Posted {
    /// The label's value in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delayed => "delayed",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::NoServer => "no_server",
        }
    }
}

/// The way to the SMTP server; clones share it.
#[derive(Clone)]
pub struct Mailer {
    parts: Option<Arc<Parts>>,
    metrics: Metrics,
    lifecycle: Lifecycle,
}

struct Parts {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
    waiting: Arc<Semaphore>,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer")
            .field("has_server", &self.parts.is_some())
            .finish_non_exhaustive()
    }
}

impl Mailer {
    /// As configured; connects when there is something to send.
    ///
    /// # Errors
    /// [`MailSettings`].
    pub fn new(
        config: &config::Mail,
        metrics: Metrics,
        lifecycle: Lifecycle,
    ) -> Result<Self, MailSettings> {
        let sender = config.sender.as_deref().map(str::parse::<Mailbox>);
        let parts = match (&config.host, sender) {
            (Some(host), Some(Ok(sender))) => Some(Arc::new(Parts {
                transport: transport(config, host, &sender)?,
                sender,
                waiting: Arc::new(Semaphore::new(config.max_waiting)),
            })),
            _ => None,
        };
        Ok(Self {
            parts,
            metrics,
            lifecycle,
        })
    }

    /// Whether there is a server to send mail to.
    pub fn has_server(&self) -> bool {
        self.parts.is_some()
    }

    /// Sends a mail, and says what has become of it after `patience` at most; whatever is not decided by then is tried on,
    /// for about a minute and a half.
    pub(crate) async fn post(&self, mail: Mail, patience: Duration) -> Posted {
        let posted = self.begin(mail, patience).await;
        self.metrics.mailed(posted.name());
        posted
    }

    async fn begin(&self, mail: Mail, patience: Duration) -> Posted {
        let Some(parts) = self.parts.clone() else {
            return Posted::NoServer;
        };
        let Ok(place) = Arc::clone(&parts.waiting).try_acquire_owned() else {
            return Posted::Full;
        };
        let Ok(message) = message(&parts.sender, mail) else {
            return Posted::Refused;
        };
        let (tell, told) = oneshot::channel();
        let stopping = self.lifecycle.soft().clone();
        let sending = async move {
            let mut tell = Some(tell);
            for pause in AGAIN_AFTER.into_iter().map(Some).chain([None]) {
                let posted = attempt(&parts, &message).await;
                if let Some(tell) = tell.take() {
                    // whoever waited may have gone
                    let _ = tell.send(posted);
                }
                let Some(pause) = pause.filter(|_| posted == Posted::Delayed) else {
                    break;
                };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stopping.cancelled() => break,
                }
            }
            drop(place);
        };
        // a mail that is on its way when the server is told to stop is still handed over
        self.lifecycle.spawn(sending);
        match tokio::time::timeout(patience, told).await {
            Ok(Ok(posted)) => posted,
            _ => Posted::Delayed,
        }
    }
}

async fn attempt(parts: &Parts, message: &Message) -> Posted {
    match parts.transport.send(message.clone()).await {
        Ok(_) => Posted::Sent,
        Err(error) => {
            let refused = error.is_permanent();
            // the server's words may repeat the address; its code does not
            let code = error.status().map(|code| code.to_string());
            tracing::warn!(
                code,
                refused,
                timeout = error.is_timeout(),
                tls = error.is_tls(),
                "the smtp server has not taken a mail"
            );
            if refused {
                Posted::Refused
            } else {
                Posted::Delayed
            }
        }
    }
}

fn message(sender: &Mailbox, mail: Mail) -> Result<Message, lettre::error::Error> {
    let to = mail
        .to
        .parse::<lettre::Address>()
        .map_err(|_| lettre::error::Error::NonAsciiChars)?;
    Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(None, to))
        .subject(mail.subject)
        .header(lettre::message::header::ContentType::TEXT_PLAIN)
        .body(mail.body)
}

fn transport(
    config: &config::Mail,
    host: &str,
    sender: &Mailbox,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailSettings> {
    let tls = if config.implicit_tls || config.port == TLS_PORT {
        Tls::Wrapper(parameters(config, host)?)
    } else if config.use_tls {
        Tls::Required(parameters(config, host)?)
    } else {
        Tls::None
    };
    let pool = PoolConfig::new().max_size(CONNECTIONS).idle_timeout(KEPT);
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(config.port)
        .tls(tls)
        .timeout(Some(Duration::from_millis(config.timeout_ms)))
        .hello_name(ClientId::Domain(sender.email.domain().to_owned()))
        .pool_config(pool);
    if let (Some(name), Some(password)) = (&config.username, &config.password) {
        let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
        builder = builder.credentials(credentials);
    }
    Ok(builder.build())
}

fn parameters(config: &config::Mail, host: &str) -> Result<TlsParameters, MailSettings> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let unreadable = |reason: String| MailSettings::Certificates {
            path: path.clone(),
            reason,
        };
        let pem = std::fs::read(Path::new(path)).map_err(|error| unreadable(error.to_string()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| unreadable(error.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build_rustls()
        .map_err(|error| MailSettings::Tls(error.to_string()))
}
