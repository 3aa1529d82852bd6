//! The composition root: every part of the server, built once and in order.
//! Built by [`crate::run`] and by the test world; shared by all handlers and sessions.
//! Never changes after it is built, except for the models that arrive in the background.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use providers::tools::{Outbound, OutboundError};
use providers::{Catalog, Workers};
use store::live::WorkLimits;
use store::seal::KeySource;
use store::{Delivery, Journal, JournalError, JournalOptions, Store};
use tokio::sync::{Semaphore, watch};

use crate::agents::{Agents, FileError};
use crate::auth::lockout::Lockout;
use crate::auth::{self, ApiKeys, AuthError, Credential, Principal};
use crate::calls::Phone;
use crate::clock::Clock;
use crate::config::Config;
use crate::dialler::Dialler;
use crate::edge::chat::{Chat, ChatError};
use crate::edge::voice;
use crate::lifecycle::Lifecycle;
use crate::mail::{MailSettings, Mailer};
use crate::metering::{self, Meter, PricesError};
use crate::observe::{Event, Metrics};
use crate::outbox::Outbox;
use crate::presence::Presence;
use crate::quota::Quotas;
use crate::registry::Registry;
use crate::remote;
use crate::secrets::{self, SourceError};
use crate::survey::{Around, Desk, SurveySettings};

/// How long a vendor may take to say whether it takes its key.
const VENDORS_WITHIN: Duration = Duration::from_secs(3);

/// The server.
#[derive(Debug)]
pub struct App {
    /// Settings in force.
    pub config: Config,
    /// Durable and short-lived state.
    pub store: Store,
    /// What happens in sessions, on its way to the database; `None` when it is not kept.
    pub journal: Option<Journal>,
    /// Brings it there; taken when the server starts.
    delivery: Mutex<Option<Delivery>>,
    /// API keys.
    pub keys: ApiKeys,
    /// Providers, once their models are loaded.
    pub catalog: LateCatalog,
    /// Numbers and log lines.
    pub metrics: Metrics,
    /// Who has shown too many wrong keys.
    pub lockout: Lockout,
    /// Who answers under `model=agent:NAME`.
    pub agents: Agents,
    /// What providers are made to do, and what it costs.
    pub meter: Meter,
    /// How much anybody may have.
    pub quotas: Quotas,
    /// Stop signals and tracked tasks.
    pub lifecycle: Lifecycle,
    /// The clock.
    pub clock: Clock,
    /// What connections of the app voice socket share.
    pub voice: voice::Desk,
    /// Conversations running.
    pub sessions: Registry,
    /// Telephone calls running.
    pub phone: Phone,
    /// Which of them are this gateway's, for the others.
    pub presence: Presence,
    /// Who is surveyed, and what was answered.
    pub survey: Arc<Desk>,
    /// Chat rooms.
    pub chat: Chat,
    /// Transcriptions and syntheses running over REST.
    pub audio_requests: Arc<Semaphore>,
    /// What has to be done outside because something changed here.
    pub outbox: Outbox,
    /// The way to addresses of somebody else's choice.
    pub outbound: Outbound,
    /// The way to addresses of the operator's choice.
    pub http: reqwest::Client,
    /// Calls that this server places.
    pub dialler: Dialler,
    /// When the server started.
    pub started: Instant,
}

/// Why the server cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] store::StoreError),
    /// The keys cannot be read.
    #[error("cannot open the api keys")]
    Keys(#[from] AuthError),
    /// The prices cannot be used.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// An agent's file is no agent.
    #[error(transparent)]
    Agents(#[from] FileError),
    /// The keys that seal what was said cannot be read.
    #[error(transparent)]
    Encryption(#[from] SourceError),
    /// What was said cannot be kept on disk.
    #[error("cannot open the journal of conversations")]
    Journal(#[from] JournalError),
    /// The survey cannot be asked as configured.
    #[error(transparent)]
    Survey(#[from] SurveySettings),
    /// Mail cannot be sent as configured.
    #[error(transparent)]
    Mail(#[from] MailSettings),
    /// The chat rooms cannot be opened.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// No requests can be made for tools.
    #[error("cannot start the http client")]
    Outbound(#[from] OutboundError),
    /// Nor for the app voice socket.
    #[error("cannot start the http client of the app voice socket")]
    Client(#[from] reqwest::Error),
}

impl App {
    /// Opens the store and the keys; the models are loaded by [`App::load_catalog`].
    ///
    /// # Errors
    /// [`AppError`].
    pub async fn open(config: Config) -> Result<Arc<Self>, AppError> {
        let clock = Clock::default();
        let prices = metering::load(config.metering.prices.as_deref().map(Path::new))?;
        let metrics = Metrics::default();
        let key_source = secrets::key_source(&config.encryption)?;
        let mut settings = config.database();
        settings.keys.clone_from(&key_source);
        let mut live = config.live();
        live.keys.clone_from(&key_source);
        let store = Store::open(&settings, &live).await?;
        let (journal, delivery) = open_journal(&config, key_source).await?.unzip();
        let meter = match &journal {
            Some(journal) => {
                Meter::storing(prices, metrics.clone(), (journal.clone(), clock.clone()))
            }
            None => Meter::new(prices, metrics.clone()),
        };
        let bootstrap = config.auth.bootstrap_api_key.as_ref();
        let keys = ApiKeys::open(store.sql.clone(), clock.clone(), bootstrap).await?;
        let keys = keys.sharing(store.live.facts.clone(), metrics.clone());
        let phone = Phone::open(&store.sql, config.telephony.max_calls).await?;
        let outbound = Outbound::new(&config.tools.allowed_hosts)?;
        let http = providers::http::client();
        let http = http.map_err(|error| OutboundError::Client(error.to_string()))?;
        let dialler = Dialler::open(&config, &http);
        let catalog = LateCatalog::default();
        let folder = config.agents_dir();
        let agents =
            Agents::open(store.sql.clone(), folder, outbound.clone(), catalog.clone()).await?;
        let lifecycle = Lifecycle::default();
        let mailer = Mailer::new(&config.mail, metrics.clone(), lifecycle.clone())?;
        let around = Around {
            clock: clock.clone(),
            mailer,
            metrics: metrics.clone(),
        };
        let survey = Arc::new(Box::pin(Desk::open(&config, &store, around)).await?);
        let presence = Presence::new(&store.live, clock.clone(), seed(&clock));
        let live = &store.live;
        let (limiter, leases) = (live.limiter.clone(), live.leases.clone());
        let quotas = Quotas::new(limiter, leases, clock.clone(), metrics.clone());
        let around = (&clock, &metrics, &lifecycle);
        let chat = Chat::open(&config, &store, around, seed(&clock)).await?;
        Ok(Arc::new(Self {
            chat,
            lockout: Lockout::new(config.auth.lockout_failures, config.auth.lockout_s),
            agents,
            quotas,
            survey,
            audio_requests: Arc::new(Semaphore::new(config.limits.concurrent_audio_requests)),
            phone,
            presence,
            voice: voice::Desk::open(&config.voice, &clock, &lifecycle)?,
            store,
            journal,
            delivery: Mutex::new(delivery),
            keys,
            catalog,
            meter,
            metrics,
            sessions: Registry::new(config.sessions.max_sessions, lifecycle.soft().clone()),
            lifecycle,
            outbox: Outbox::default(),
            outbound,
            http,
            dialler,
            started: clock.now(),
            clock,
            config,
        }))
    }

    /// What brings the journal to the database; there is one.
    pub(crate) fn take_delivery(&self) -> Option<Delivery> {
        let mut delivery = self.delivery.lock();
        delivery
            .as_mut()
            .map_or_else(|poisoned| poisoned.get_mut().take(), |held| held.take())
    }

    /// Says who `credential` belongs to; see [`crate::auth::authenticate`].
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(&self, credential: &Credential) -> Result<Principal, AuthError> {
        auth::authenticate(self, credential).await
    }

    /// The providers, if their models are loaded.
    pub fn catalog(&self) -> Option<Catalog> {
        self.catalog.get().ok()
    }

    /// A fresh seed for a generator of ids.
    pub fn seed(&self) -> u128 {
        seed(&self.clock)
    }

    /// Loads the models on a blocking thread; `/ready` and [`LateCatalog::wait`] tell when they are there.
    pub fn load_catalog(self: &Arc<Self>) {
        let app = Arc::clone(self);
        let begun = app.clock.now();
        tokio::task::spawn_blocking(move || {
            let pipeline = app.config.pipeline.name.clone();
            match app
                .config
                .catalog()
                .map_err(|e| e.to_string())
                .and_then(|config| {
                    Catalog::open_with(config, app.meter.watch(), app.workers())
                        .map_err(|error| auth::chain(&error))
                }) {
                Ok(catalog) => {
                    app.check_prices(&catalog);
                    app.check_vendors(&catalog);
                    let took = app.clock.now() - begun;
                    app.metrics.emit(&Event::PipelineReady {
                        pipeline: &pipeline,
                        took,
                    });
                    app.catalog.state.send_replace(CatalogState::Ready(catalog));
                }
                Err(message) => {
                    app.metrics.emit(&Event::PipelineFailed {
                        pipeline: &pipeline,
                        message: &message,
                    });
                    app.catalog
                        .state
                        .send_replace(CatalogState::Failed(message.into()));
                }
            }
        });
    }

    /// Workers to ask, where there is a way to them and somebody who asks.
    fn workers(&self) -> Option<Workers> {
        let link = self
            .store
            .live
            .link()
            .filter(|_| self.config.asks_workers())?;
        let around = remote::Surroundings {
            metrics: self.metrics.clone(),
            meter: self.meter.clone(),
            lifecycle: self.lifecycle.clone(),
        };
        Some(remote::workers(link, WorkLimits::default(), &around))
    }

    /// Warns of models whose work will have no cost because nobody has told their price.
    fn check_prices(&self, catalog: &Catalog) {
        let members = catalog.vendors().members();
        for (stage, provider, model) in self.meter.unpriced(members) {
            tracing::warn!(
                stage = stage.name(),
                provider,
                model,
                "no price is known: what it does will cost null; add one to the file that metering.prices names"
            );
        }
    }

    /// Asks every vendor whether it takes its key, so that a session with a wrong one is refused before it begins.
    /// Blocks the thread that loads the models, not longer than a vendor may take.
    fn check_vendors(&self, catalog: &Catalog) {
        let checking = catalog.vendors().check(VENDORS_WITHIN);
        for checked in tokio::runtime::Handle::current().block_on(checking) {
            match checked.outcome {
                Ok(took) => tracing::info!(
                    provider = checked.provider,
                    stage = checked.stage.name(),
                    took_ms = took.as_millis() as u64,
                    "provider answers"
                ),
                Err(error) => self.metrics.emit(&Event::ProviderFailed {
                    session: None,
                    provider: &checked.provider,
                    code: error.code(),
                    message: &error.message,
                }),
            }
        }
    }
}

fn seed(clock: &Clock) -> u128 {
    let mut bytes = [0; 16];
    // ids are not secret; without the system's randomness the clock keeps them apart
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return clock.utc().timestamp_micros().unsigned_abs().into();
    }
    u128::from_le_bytes(bytes)
}

/// The journal and its delivery, where conversations are kept.
async fn open_journal(
    config: &Config,
    keys: Option<KeySource>,
) -> Result<Option<(Journal, Delivery)>, JournalError> {
    if !config.conversations.keep {
        return Ok(None);
    }
    let options = JournalOptions {
        folder: config.journals_dir(),
        limit_bytes: config.conversations.journal_bytes,
        keys,
    };
    Journal::open(options).await.map(Some)
}

/// How far the models are.
#[derive(Clone, Default)]
enum CatalogState {
    #[default]
    Loading,
    Ready(Catalog),
    Failed(Arc<str>),
}

/// Why there are no providers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogUnavailable {
    /// Models are being loaded; try again soon.
    #[error("the models are still being loaded")]
    Loading,
    /// They cannot be loaded; the text says which command helps.
    #[error("the models could not be loaded: {0}")]
    Failed(Arc<str>),
}

/// The catalog of providers, which arrives some time after the port is open; clones share it.
#[derive(Clone)]
pub struct LateCatalog {
    state: watch::Sender<CatalogState>,
}

impl Default for LateCatalog {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(CatalogState::Loading),
        }
    }
}

impl std::fmt::Debug for LateCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LateCatalog")
            .field(&self.get().err())
            .finish()
    }
}

impl LateCatalog {
    /// The catalog, if it is there.
    ///
    /// # Errors
    /// [`CatalogUnavailable`].
    pub fn get(&self) -> Result<Catalog, CatalogUnavailable> {
        match &*self.state.borrow() {
            CatalogState::Loading => Err(CatalogUnavailable::Loading),
            CatalogState::Ready(catalog) => Ok(catalog.clone()),
            CatalogState::Failed(message) => Err(CatalogUnavailable::Failed(Arc::clone(message))),
        }
    }

    /// The catalog, waiting up to `limit` for it.
    ///
    /// # Errors
    /// [`CatalogUnavailable`].
    pub async fn wait(&self, limit: Duration) -> Result<Catalog, CatalogUnavailable> {
        let mut state = self.state.subscribe();
        let loaded = state.wait_for(|state| !matches!(state, CatalogState::Loading));
        // a time-out, or a sender that is gone, leaves the state as `get` reports it
        let _ = tokio::time::timeout(limit, loaded).await;
        self.get()
    }
}
