//! Our own accept loop: `axum::serve` has neither a time-out for request heads nor a cap on connections.
//! Run by [`crate::run`], one per listener.
//! Never keeps a connection's slot longer than the connection, and never waits for idle ones at shutdown.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::{Buf as _, Bytes};
use engine::guard::Rate;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use store::live::limiter::{Demand, Level, LevelKind, Limiter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;

use crate::auth::lockout::network;
use crate::clock::Clock;
use crate::config;
use crate::lifecycle::Lifecycle;
use crate::observe::{Event, Metrics};

/// Most that hyper buffers of one request, in bytes: it starts at 8 KiB and grows with large heads and bodies only.
const MAX_BUFFER: usize = 64 * 1024;

/// Taken from the kernel at once, in bytes: two frames of 100 ms and more. What a reader has no room for waits in memory
/// of its own; so its buffer may be small, and a quiet connection costs little (see `edge::READ_BUFFER_BYTES`).
const READ_BYTES: usize = 16 * 1024;

/// Pause after the system refused to accept (out of descriptors): the condition does not pass in a microsecond.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client hears when every connection slot is taken.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 121\r\n\
retry-after: 5\r\nconnection: close\r\n\r\n\
{\"error\":{\"message\":\"Too many connections are open.\",\"type\":\"server_error\",\"param\":null,\"code\":\"server_overloaded\"}}     ";

/// Longest wait for a request head while the server drains, so that silent clients do not hold the drain up.
const DRAIN_HEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a listener needs of the process that it belongs to.
#[derive(Debug, Clone)]
pub struct House {
    /// Bounds.
    pub server: config::Server,
    /// One for each connection that may be open, over all addresses.
    pub slots: Arc<Semaphore>,
    /// Networks whose proxies bring many callers each.
    pub trusted_proxies: Vec<IpNet>,
    /// Time.
    pub clock: Clock,
    /// Counts connections.
    pub metrics: Metrics,
    /// Ends them.
    pub lifecycle: Lifecycle,
}

/// Accepts connections until it is aborted: while the server drains, `/ready` must still say no and new sessions
/// must still hear why they are refused.
pub async fn serve(house: House, listener: TcpListener, router: Router) {
    let arrivals = Arrivals::new(&house);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if arrivals.is_flood(peer.ip()).await {
            // nothing is said: an answer would cost more than the refusal saves
            house.metrics.emit(&Event::ConnectionRefused);
            continue;
        }
        let Ok(slot) = Arc::clone(&house.slots).try_acquire_owned() else {
            house.metrics.emit(&Event::ConnectionRefused);
            // a fresh socket's send buffer takes this much; if not, the close says it too
            let _ = stream.try_write(FULL);
            continue;
        };
        // audio deltas are small and must not wait for each other
        let _ = stream.set_nodelay(true);
        house.metrics.connections(1);
        let connection = Counted {
            stream,
            waiting: Bytes::new(),
            _slot: slot,
            metrics: house.metrics.clone(),
        };
        let serving = serve_connection(house.clone(), connection, peer, router.clone());
        // the drain waits for requests being answered; upgraded sockets are tracked by their sessions
        house.lifecycle.spawn(serving);
    }
}

/// How often each network address connects.
struct Arrivals {
    rate: Option<Rate>,
    trusted_proxies: Vec<IpNet>,
    clock: Clock,
    limiter: Limiter,
}

impl Arrivals {
    fn new(house: &House) -> Self {
        let limit = house.server.connections_per_second;
        Self {
            rate: (limit > 0).then(|| Rate::new(limit, 1000)),
            trusted_proxies: house.trusted_proxies.clone(),
            clock: house.clock.clone(),
            limiter: Limiter::memory(),
        }
    }

    /// Whether a connection from `ip` is one too many within this second. Proxies bring many callers each.
    async fn is_flood(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_proxy = || self.trusted_proxies.iter().any(|net| net.contains(&ip));
        if ip.is_loopback() || is_proxy() {
            return false;
        }
        let Some(rate) = self.rate else {
            return false;
        };
        let level = Level {
            kind: LevelKind::Ip,
            id: network(ip).to_string(),
            requests: Some(rate),
            tokens: None,
            audio_s: None,
        };
        let now_ms = self.clock.utc().timestamp_millis().unsigned_abs();
        let decision = self.limiter.take(&[level], Demand::REQUEST, now_ms).await;
        decision.outcome.is_err()
    }
}

async fn serve_connection(house: House, connection: Counted, peer: SocketAddr, router: Router) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let draining = house.lifecycle.stopping();
    let patience = Duration::from_millis(house.server.header_timeout_ms);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(if draining {
            patience.min(DRAIN_HEADER_TIMEOUT)
        } else {
            patience
        })
        .keep_alive(!draining)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = house.lifecycle.hard().cancelled() => return,
        // one that came during the drain has its one request answered first
        () = house.lifecycle.soft().cancelled(), if !draining => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = house.lifecycle.hard().cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// A connection that holds its slot for as long as it lives, also after it became a WebSocket.
struct Counted {
    stream: TcpStream,
    /// What has been read and not yet been asked for.
    waiting: Bytes,
    _slot: OwnedSemaphorePermit,
    metrics: Metrics,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.connections(-1);
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waiting.is_empty() {
            if buffer.remaining() >= READ_BYTES {
                return Pin::new(&mut self.stream).poll_read(cx, buffer);
            }
            let mut space = [MaybeUninit::<u8>::uninit(); READ_BYTES];
            let mut space = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            let (now, later) = space
                .filled()
                .split_at(space.filled().len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                self.waiting = Bytes::copy_from_slice(later);
            }
            return Poll::Ready(Ok(()));
        }
        let now = buffer.remaining().min(self.waiting.len());
        buffer.put_slice(&self.waiting[..now]);
        if now == self.waiting.len() {
            self.waiting = Bytes::new();
        } else {
            self.waiting.advance(now);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn who_connects_too_often_waits_a_second_and_proxies_do_not() {
        let mut config = Config::default();
        config.server.connections_per_second = 3;
        config.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let house = House {
            server: config.server,
            slots: Arc::new(Semaphore::new(1)),
            trusted_proxies: config.http.trusted_proxies,
            clock: Clock::default(),
            metrics: Metrics::default(),
            lifecycle: Lifecycle::default(),
        };
        let arrivals = Arrivals::new(&house);
        let floods = async |ip: &str| arrivals.is_flood(ip.parse().unwrap()).await;
        for _ in 0..3 {
            assert!(!floods("2001:db8:1:2::1").await);
        }
        assert!(floods("2001:db8:1:2::ffff").await, "the same network");
        assert!(!floods("192.0.2.7").await, "another");
        for ip in ["10.1.2.3", "127.0.0.1", "::1", "::ffff:10.1.2.3"] {
            for _ in 0..10 {
                assert!(!floods(ip).await, "{ip}");
            }
        }
        house.clock.advance(Duration::from_secs(2));
        assert!(!floods("2001:db8:1:2::1").await);
    }

    #[tokio::test]
    async fn what_is_read_in_sips_arrives_whole_and_so_does_the_end() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = Counted {
            stream,
            waiting: Bytes::new(),
            _slot: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
            metrics: Metrics::default(),
        };
        let sent: Vec<u8> = (0..5 * READ_BYTES).map(|at| (at % 251) as u8).collect();
        let sending = tokio::spawn({
            let sent = sent.clone();
            async move { client.write_all(&sent).await }
        });
        let (mut heard, mut sip) = (Vec::new(), [0; 700]);
        loop {
            let size = connection.read(&mut sip).await.unwrap();
            if size == 0 {
                break;
            }
            heard.extend_from_slice(&sip[..size]);
        }
        sending.await.unwrap().unwrap();
        assert!(heard == sent && connection.waiting.is_empty());
    }

    #[test]
    fn the_refusal_has_the_length_it_claims() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["error"]["code"], "server_overloaded");
    }
}
