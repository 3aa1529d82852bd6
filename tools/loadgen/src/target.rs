//! The server under load: its address, the key, and a way to a new socket.
//! Every mode opens its connections here.
//! It never leaves this machine unless told to.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        client::IntoClientRequest as _,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

use crate::General;

/// A realtime connection without TLS.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Reserved for reading per connection, in bytes; the default of 128 KiB times a thousand is our memory, not the server's.
const READ_BUFFER: usize = 8 * 1024;

/// Where the server is and how to be let in.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Resolved once, so that no connection waits for a name.
    pub(crate) address: SocketAddr,
    /// Host and port as given, for the `Host` header.
    pub(crate) host: String,
    /// Path and query of the realtime endpoint.
    pub(crate) path: String,
    /// Process of the server on this machine.
    pub(crate) server_pid: Option<u32>,
    /// API key.
    key: String,
}

impl Target {
    /// Finds the server.
    ///
    /// Errors: the address cannot be read or resolved, is encrypted, or is not on this machine.
    pub(crate) async fn new(general: &General) -> anyhow::Result<Self> {
        let rest = general
            .url
            .strip_prefix("ws://")
            .or_else(|| general.url.strip_prefix("http://"))
            .with_context(|| format!("{}: an address begins with ws:// or http://", general.url))?;
        let host = rest.split('/').next().unwrap_or(rest).to_owned();
        let address = tokio::net::lookup_host(&host)
            .await
            .with_context(|| format!("resolve {host}"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        ensure!(
            general.remote || address.ip().is_loopback(),
            "{host} is another machine: add --remote to load it all the same"
        );
        Ok(Self {
            address,
            host,
            path: format!("/v1/realtime?model={}", general.model),
            server_pid: general.server_pid,
            key: general.key.clone(),
        })
    }

    /// A plain connection.
    pub(crate) async fn tcp(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("connect to {}", self.host))?;
        stream
            .set_nodelay(true)
            .context("turn off Nagle's algorithm")?;
        // some machines default to an algorithm that sets a timer for every segment (BBR), which costs the generator
        // more than the sending; where the choice is not allowed, it does without
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_congestion(&stream, "reno");
        Ok(stream)
    }

    /// A realtime connection.
    ///
    /// Errors: the server is away or refuses.
    pub(crate) async fn open(&self) -> anyhow::Result<Socket> {
        let stream = self.tcp().await?;
        let mut request = format!("ws://{}{}", self.host, self.path)
            .into_client_request()
            .context("address of the server")?;
        let mut key = HeaderValue::from_str(&format!("Bearer {}", self.key))
            .context("the API key holds characters that no key has")?;
        key.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, key);
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(error) => bail!("{} does not open a session: {error}", self.host),
        }
    }
}
