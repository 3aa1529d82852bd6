//! Starts the server and ends it.
//! Called by the binary ([`run`]) and by the test world ([`Server::start`]).
//! Never prints a key, except inside the page's address on a loopback listener with a bootstrap key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::AppError;
use crate::config::{Listener, Profile};
use crate::lifecycle::{Drained, listen_to_signals};
use crate::survey::SurveySettings;
use crate::{App, Config, edge, http, jobs, observe};

/// How long the database may take for what was said last; the rest waits for the next start.
const LAST_DELIVERY: Duration = Duration::from_secs(5);

/// How long providers may take to end, after the conversations that they worked for have.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Why the server did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store or the keys could not be opened.
    #[error("cannot start the server")]
    App(#[from] AppError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The process may not listen to signals.
    #[error("cannot listen to signals")]
    Signals(#[source] std::io::Error),
}

impl RunError {
    /// Whether the configuration names something that cannot be used.
    pub const fn is_bad_configuration(&self) -> bool {
        matches!(
            self,
            Self::App(
                AppError::Prices(_)
                    | AppError::Agents(_)
                    | AppError::Encryption(_)
                    | AppError::Mail(_)
                    | AppError::Survey(SurveySettings::File(_))
                    | AppError::Chat(_)
            )
        )
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its parts.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The further addresses, in the order of the configuration.
    pub listeners: Vec<(Profile, SocketAddr)>,
    accepting: Vec<JoinHandle<()>>,
    delivery: Option<Delivering>,
}

/// Brings what was said to the database, until it is told to stop.
#[derive(Debug)]
struct Delivering {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Delivering {
    /// Waits for the last words of the sessions that have ended; what the database does not take stays in the journal.
    async fn finish(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_DELIVERY, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

/// Not one of the tasks that a drain waits for: it has work until the last of them has ended.
fn deliver(app: &App) -> Option<Delivering> {
    let delivery = app.take_delivery()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let task = tokio::spawn(delivery.run(app.store.sql.clone(), stopped));
    Some(Delivering { stop, task })
}

impl Server {
    /// Opens the store, binds the port and begins to load the models in the background.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn start(config: Config) -> Result<Self, RunError> {
        let main = config.server.listen.clone();
        let further = config.listeners.clone();
        let app = Box::pin(App::open(config)).await?;
        let (listener, address) = bind(&main).await?;
        let mut bound = Vec::with_capacity(further.len());
        for Listener { profile, address } in further {
            bound.push((profile, bind(&address).await?));
        }
        app.load_catalog();
        jobs::start(&app);
        edge::chat::start(&app);
        let delivery = deliver(&app);
        let house = house(&app);
        let serve =
            |listener, router| tokio::spawn(http::accept::serve(house.clone(), listener, router));
        let mut accepting = vec![serve(listener, http::router::router(Arc::clone(&app)))];
        let mut listeners = Vec::with_capacity(bound.len());
        for (profile, (listener, address)) in bound {
            accepting.push(serve(
                listener,
                http::router::of_profile(Arc::clone(&app), profile),
            ));
            listeners.push((profile, address));
        }
        Ok(Self {
            app,
            address,
            listeners,
            accepting,
            delivery,
        })
    }

    /// Takes nobody new, waits up to `limit` for what is running, then closes everything.
    pub async fn stop(self, limit: Duration) -> Drained {
        let drained = self.app.lifecycle.drain(limit).await;
        for accepting in &self.accepting {
            accepting.abort();
        }
        // the next server need not wait for the places of conversations that have ended here
        self.app.store.live.leases.give_back().await;
        // what was cut off is counted a moment later, and then it is on its way to the journal
        if tokio::time::timeout(LAST_WORK, self.app.meter.settled())
            .await
            .is_err()
        {
            tracing::warn!("providers have not ended in time: their last work may not be counted");
        }
        if let Some(journal) = &self.app.journal {
            journal.flush().await;
        }
        if let Some(delivery) = self.delivery {
            delivery.finish().await;
        }
        self.app.store.sql.close().await;
        drained
    }
}

/// Runs the server until SIGTERM or SIGINT and a drain.
///
/// # Errors
/// [`RunError`] when it cannot start.
pub async fn run(config: Config) -> Result<(), RunError> {
    observe::logging::start(&config.log);
    let server = Box::pin(Server::start(config)).await?;
    listen_to_signals(&server.app.lifecycle).map_err(RunError::Signals)?;
    announce(&server);
    server.app.lifecycle.soft().cancelled().await;
    let limit = Duration::from_secs(server.app.config.server.drain_s);
    match server.stop(limit).await {
        Drained::Clean => tracing::info!("stopped"),
        Drained::Forced { cut_off } => tracing::warn!(cut_off, "stopped with work cut off"),
    }
    Ok(())
}

/// Listens on `address`, and says on which port when it was to be any.
async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), RunError> {
    let listen_error = |source| RunError::Listen {
        address: address.to_owned(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(listen_error)?;
    let bound = listener.local_addr().map_err(listen_error)?;
    Ok((listener, bound))
}

fn house(app: &App) -> http::accept::House {
    http::accept::House {
        server: app.config.server.clone(),
        slots: Arc::new(Semaphore::new(app.config.server.max_connections)),
        trusted_proxies: app.config.http.trusted_proxies.clone(),
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        lifecycle: app.lifecycle.clone(),
    }
}

/// The first lines that a person reads.
fn announce(server: &Server) {
    let config = &server.app.config;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pipeline = config.pipeline.name,
        "listening on http://{}",
        server.address
    );
    for (profile, address) in &server.listeners {
        tracing::info!(
            profile = profile.as_str(),
            "also listening on http://{address}"
        );
    }
    if config.conversations.keep && server.app.store.sql.needs_seal() {
        tracing::warn!(
            "what callers say is stored plain in PostgreSQL: set encryption.keys, encryption.key_file or \
             encryption.vault_address, or conversations.keep = false"
        );
    }
    if let Some(notice) = observe::llm_notice(config) {
        tracing::info!("{notice}");
    }
    if let Some(page) = page_address(config, server.address) {
        // the one line that may hold a key bypasses the log: it is for the person at this terminal
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "\n  Talk to it: {page}\n");
    }
}

/// The page's address with the bootstrap key in its fragment, which browsers do not send; only where nobody but
/// this machine can use it.
fn page_address(config: &Config, address: SocketAddr) -> Option<String> {
    let key = config
        .auth
        .bootstrap_api_key
        .as_ref()
        .filter(|_| address.ip().is_loopback())?;
    let key: String = url::form_urlencoded::byte_serialize(key.reveal().as_bytes()).collect();
    Some(format!("http://{address}/#key={key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_key_is_shown_on_loopback_only() {
        let mut config = Config::default();
        let (home, world) = (
            "127.0.0.1:8080".parse().unwrap(),
            "0.0.0.0:8080".parse().unwrap(),
        );
        assert_eq!(page_address(&config, home), None);
        config.auth.bootstrap_api_key = Some(Secret::new("a-bootstrap-key/1"));
        assert_eq!(
            page_address(&config, home).as_deref(),
            Some("http://127.0.0.1:8080/#key=a-bootstrap-key%2F1")
        );
        assert_eq!(page_address(&config, world), None);
    }
}
