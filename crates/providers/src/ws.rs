//! The one way to a vendor's WebSocket (RFC 6455): what is asked, how long it may take, how much may come back.
//! Used by every vendor that streams both ways, mostly through [`crate::kept`].
//! Never shows a key or an address with one, and never holds more than one message.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{HeaderName, HeaderValue};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    Connector as Tls, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest as _,
        handshake::client::Request,
        protocol::{WebSocketConfig, frame::Utf8Bytes},
    },
};
use url::Url;

use crate::{Kind, ProviderError, Vendor, failure, http::CONNECT_TIMEOUT};

/// Largest message that a vendor may send: a minute of 24 kHz speech in base64.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes read at once; per connection, so it counts with every call.
const READ_BYTES: usize = 16 * 1024;
/// How long a vendor may refuse to take what is sent.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How long a farewell may take: nobody waits for it but the connection itself.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// Characters of the reason for a closing that are passed on; real codes are words such as `NET-0001`.
const REASON: usize = 32;

/// Opens connections to one vendor.
#[derive(Clone)]
pub(crate) struct Connector {
    name: Arc<str>,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    tls: Arc<ClientConfig>,
    limit: Duration,
}

impl Connector {
    /// A connector that sends `headers` (keys among them) with every handshake.
    ///
    /// Errors: [`Kind::Unavailable`] when the platform's certificates cannot be read.
    pub(crate) fn new(
        vendor: &Vendor,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Self, ProviderError> {
        // the same provider and the same certificates as the HTTP client has
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|_| {
                let message = "the certificates of this machine cannot be read";
                vendor.error(Kind::Unavailable, message)
            })?
            .with_no_client_auth();
        Ok(Self {
            name: Arc::clone(&vendor.name),
            headers: headers.into(),
            tls: Arc::new(tls),
            limit: CONNECT_TIMEOUT.min(vendor.limits.first_event),
        })
    }

    /// The vendor's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Opens a connection to `address`, whose scheme may be `http(s)` or `ws(s)`.
    ///
    /// Errors: [`Kind::Timeout`] and [`Kind::Unavailable`] when nobody answers, otherwise what the status of the
    /// answer asks for (401 and 403 [`Kind::Unauthorized`], 429 [`Kind::RateLimited`], 5xx [`Kind::Unavailable`]).
    pub(crate) async fn connect(&self, address: &Url) -> Result<Connection, ProviderError> {
        let request = self.request(address)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MESSAGE_BYTES)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let tls = Tls::Rustls(Arc::clone(&self.tls));
        // without Nagle: audio goes out as small messages that must not wait for each other
        let connecting = connect_async_tls_with_config(request, Some(config), true, Some(tls));
        // on the heap: a handshake in progress is large
        match timeout(self.limit, Box::pin(connecting)).await {
            Err(_) => {
                let what = "no connection was made";
                Err(failure::silent(&self.name, what, self.limit))
            }
            Ok(Err(tungstenite::Error::Http(answer))) => {
                let answer = answer.map(Option::unwrap_or_default);
                Err(failure::of_answer(&self.name, answer.into()).await)
            }
            Ok(Err(error)) => Err(broken(&self.name, &error)),
            Ok(Ok((socket, _))) => Ok(Connection {
                name: Arc::clone(&self.name),
                socket,
                last_sent: Instant::now(),
                last_heard: Instant::now(),
            }),
        }
    }

    fn request(&self, address: &Url) -> Result<Request, ProviderError> {
        let refused = || {
            let message = "the base url is no address for a websocket";
            ProviderError::new(self.name.to_string(), Kind::Rejected, message)
        };
        let mut address = address.clone();
        let scheme = match address.scheme() {
            "https" | "wss" => "wss",
            "http" | "ws" => "ws",
            _ => return Err(refused()),
        };
        address.set_scheme(scheme).map_err(|()| refused())?;
        let mut request = address
            .as_str()
            .into_client_request()
            .map_err(|_| refused())?;
        for (name, value) in self.headers.iter() {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// What a vendor sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary(Bytes),
    /// The vendor closes the connection; nothing comes behind it.
    Closed(Closing),
}

/// How a connection was closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Closing {
    /// Close code (RFC 6455 §7.4); 1005 when none was given.
    pub(crate) code: u16,
    /// The first word of the reason, such as `NET-0001`; empty when there is none.
    pub(crate) reason: String,
    /// All of it, in small letters: judged, never shown.
    words: String,
}

impl Closing {
    fn new(code: u16, reason: &str) -> Self {
        // a word, never a sentence: the message is logged
        let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        Self {
            code,
            words: reason.to_ascii_lowercase(),
            reason: reason.chars().take_while(word).take(REASON).collect(),
        }
    }

    /// Whether the reason has these words (small letters): some vendors tell no more apart than that.
    pub(crate) fn mentions(&self, words: &str) -> bool {
        self.words.contains(words)
    }

    /// The failure that this closing is for whoever still wanted something.
    pub(crate) fn error(&self, name: &str, kind: Kind) -> ProviderError {
        let mut message = format!("the server closed the connection with {}", self.code);
        if !self.reason.is_empty() {
            message.push_str(" and ");
            message.push_str(&self.reason);
        }
        ProviderError::new(name.to_owned(), kind, message)
    }
}

/// An open connection. Dropping it cuts it; [`Connection::close`] says goodbye first.
#[derive(Debug)]
pub(crate) struct Connection {
    name: Arc<str>,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_sent: Instant,
    last_heard: Instant,
}

impl Connection {
    /// When something was sent last.
    pub(crate) fn last_sent(&self) -> Instant {
        self.last_sent
    }

    /// When anything came last, pongs included.
    pub(crate) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Asks the other end whether it is there (RFC 6455 §5.5.2); its answer counts as heard.
    ///
    /// Errors: as [`Self::send`].
    pub(crate) async fn ping(&mut self) -> Result<(), ProviderError> {
        self.push(tungstenite::Message::Ping(Bytes::new())).await
    }

    /// Sends a text frame. A call that is given up on may have sent it or not.
    ///
    /// Errors: [`Kind::Unavailable`] for a broken connection, [`Kind::Timeout`] when the vendor takes nothing.
    pub(crate) async fn send(&mut self, text: String) -> Result<(), ProviderError> {
        self.push(tungstenite::Message::text(text)).await
    }

    /// Sends a binary frame.
    ///
    /// Errors: as [`Self::send`].
    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<(), ProviderError> {
        self.push(tungstenite::Message::binary(bytes)).await
    }

    async fn push(&mut self, message: tungstenite::Message) -> Result<(), ProviderError> {
        self.last_sent = Instant::now();
        timeout(SEND_LIMIT, self.socket.send(message))
            .await
            .map_err(|_| failure::silent(&self.name, "nothing more was taken", SEND_LIMIT))?
            .map_err(|error| broken(&self.name, &error))
    }

    /// The next message; giving up on the call loses none. Pings are answered on the way.
    ///
    /// Errors: [`Kind::Unavailable`] for a broken connection, [`Kind::Protocol`] for what no WebSocket server sends.
    pub(crate) async fn next(&mut self) -> Result<Message, ProviderError> {
        loop {
            let received = self.socket.next().await;
            self.last_heard = Instant::now();
            let message = match received {
                None => Message::Closed(Closing::new(1006, "")),
                Some(Err(error)) => return Err(broken(&self.name, &error)),
                Some(Ok(tungstenite::Message::Text(text))) => Message::Text(text),
                Some(Ok(tungstenite::Message::Binary(bytes))) => Message::Binary(bytes),
                Some(Ok(tungstenite::Message::Close(frame))) => Message::Closed(frame.map_or_else(
                    || Closing::new(1005, ""),
                    |frame| Closing::new(frame.code.into(), frame.reason.as_str()),
                )),
                // pongs are written by the library with the next read
                Some(Ok(_)) => continue,
            };
            return Ok(message);
        }
    }

    /// Closes the connection in the way of RFC 6455 §7, after a last word of the vendor's own protocol.
    pub(crate) async fn close(mut self, farewell: Option<&str>) {
        let goodbye = async {
            if let Some(text) = farewell {
                let _ = self.socket.send(tungstenite::Message::text(text)).await;
            }
            let _ = self.socket.close(None).await;
            // what the vendor still had to say is not wanted, but its side of the closing is
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        // whether it is heard changes nothing
        let _ = timeout(FAREWELL_LIMIT, goodbye).await;
    }
}

fn broken(name: &str, error: &tungstenite::Error) -> ProviderError {
    use tungstenite::Error;
    let (kind, message) = match error {
        Error::Capacity(_) => (Kind::Protocol, "the server sent a message that is too long"),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => (Kind::Unavailable, "the connection broke"),
        Error::Protocol(_) | Error::Utf8(_) | Error::AttackAttempt => {
            (Kind::Protocol, "the server sent what breaks the protocol")
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            (Kind::Unavailable, "the server could not be reached")
        }
        _ => (Kind::Unavailable, "the connection broke"),
    };
    ProviderError::new(name.to_owned(), kind, message)
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    async fn refused(answer: &'static str, scheme: &str) -> ProviderError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("{scheme}://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut request).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        });
        let vendor = Vendor::new("acme", address.parse().unwrap());
        let mut key = HeaderValue::from_static("Token hunter2");
        key.set_sensitive(true);
        let headers = vec![(reqwest::header::AUTHORIZATION, key)];
        let connector = Connector::new(&vendor, headers).unwrap();
        connector.connect(&vendor.base_url).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_refused_handshake_tells_what_to_do() {
        for (status, kind) in [
            ("401 Unauthorized", Kind::Unauthorized),
            ("403 Forbidden", Kind::Unauthorized),
            ("404 Not Found", Kind::Rejected),
            ("500 Internal Server Error", Kind::Unavailable),
            ("503 Service Unavailable", Kind::Unavailable),
        ] {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").leak();
            let error = refused(answer, "http").await;
            assert_eq!(error.kind, kind, "{status}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let limited =
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let error = refused(limited, "http").await;
        assert_eq!(error.kind, Kind::RateLimited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn what_is_no_websocket_server_is_an_error() {
        let error = refused("SSH-2.0-OpenSSH\r\n\r\n", "http").await;
        assert_eq!(error.kind, Kind::Protocol, "{error}");
        // also shows that TLS finds its cryptography
        let error = refused("HTTP/1.1 200 OK\r\n\r\n", "https").await;
        assert_eq!(error.kind, Kind::Unavailable, "{error}");
        let error = refused("", "ftp").await;
        assert_eq!(error.kind, Kind::Rejected, "{error}");
    }

    #[test]
    fn only_the_first_word_of_a_reason_is_kept() {
        let closing = Closing::new(1011, "NET-0001: Deepgram did not receive audio data");
        assert_eq!(closing.reason, "NET-0001");
        let shown = closing.error("acme", Kind::Unavailable).to_string();
        assert!(shown.ends_with("1011 and NET-0001"), "{shown}");
        assert!(closing.mentions("did not receive") && !closing.mentions("key"));
    }
}
