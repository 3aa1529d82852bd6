//! The other end of the work queue: a process that transcribes, speaks or answers for gateways.
//! Run by `antiphon worker` ([`run`]) and by the test world ([`Worker::start`]).
//! Never takes more work than it has places for, and never answers for a job that another worker has taken over.

mod health;
mod held;
mod llm;
mod stt;
mod tts;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use providers::guarded::Incident;
use providers::guarded::Watch;
use providers::{Catalog, Pipeline};
use store::live::work::claim::Claimer;
use store::live::{AddressError, Link, Queue, WorkKind, WorkLimits};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use self::held::Held;
use crate::clock::Clock;
use crate::config::NoProviders;
use crate::http::accept::{self, House};
use crate::lifecycle::{Drained, Lifecycle, listen_to_signals};
use crate::metering::{self, Meter, PricesError};
use crate::observe::Metrics;
use crate::remote::{codec, unique};
use crate::run::RunError;
use crate::{Config, auth, observe};

/// Between two attempts to reach a Redis that is away.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Take-overs of one job that may wait to be told: each has a provider more behind it.
const TAKE_OVERS: usize = 8;

/// What a worker does, and how much of it at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Kinds of work.
    pub kinds: Vec<WorkKind>,
    /// Jobs of each kind at the same time; as configured when absent.
    pub concurrency: Option<usize>,
    /// Bounds and times of the queues; the gateways have the same.
    pub limits: WorkLimits,
}

impl Plan {
    /// Work of these kinds, as configured.
    pub fn of(kinds: Vec<WorkKind>) -> Self {
        Self {
            kinds,
            concurrency: None,
            limits: WorkLimits::default(),
        }
    }
}

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no queue without Redis.
    #[error(
        "redis.url is not set: workers get their work over Redis; set REDIS_URL to the one that the gateways use"
    )]
    NoRedis,
    /// The address of Redis is none.
    #[error("redis.url is unusable, expected {0}")]
    Redis(#[from] AddressError),
    /// Nobody does the work.
    #[error(transparent)]
    Providers(#[from] NoProviders),
    /// The prices cannot be used.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// The address cannot be listened on, or signals not.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl WorkerError {
    /// Whether the configuration names something that cannot be used.
    pub const fn is_bad_configuration(&self) -> bool {
        !matches!(self, Self::Run(_))
    }
}

/// One kind of work of this process.
#[derive(Debug)]
struct Bench {
    queue: Queue,
    places: usize,
    running: AtomicUsize,
}

/// Who is told that a session's provider was taken over, by session and kind of work.
type Degraded = Arc<Mutex<HashMap<(String, WorkKind), mpsc::Sender<(String, String)>>>>;

/// What all places of a worker share.
#[derive(Debug)]
struct Shop {
    /// Name of this process among the workers.
    consumer: String,
    link: Link,
    benches: Vec<Bench>,
    metrics: Metrics,
    lifecycle: Lifecycle,
    degraded: Degraded,
    /// `None` while the models are loaded; then whether they were.
    loaded: watch::Sender<Option<Result<(), String>>>,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    /// Its stop signals.
    pub lifecycle: Lifecycle,
    /// Where it tells how it is.
    pub address: SocketAddr,
    /// Its numbers.
    pub metrics: Metrics,
    accepting: JoinHandle<()>,
}

impl Worker {
    /// Connects to Redis, binds the port and begins to load what the work needs; then claims work.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn start(config: Config, plan: Plan) -> Result<Self, WorkerError> {
        let url = config.redis.url.as_ref().ok_or(WorkerError::NoRedis)?;
        let catalog = config.worker_catalog(&plan.kinds)?;
        let prices = metering::load(config.metering.prices.as_deref().map(std::path::Path::new))?;
        let metrics = Metrics::default();
        let meter = Meter::new(prices, metrics.clone());
        let link = Link::open(url.reveal(), &config.redis.namespace).await?;
        let bench = |kind: &WorkKind| Bench {
            queue: Queue::new(link.clone(), *kind, plan.limits),
            places: plan.concurrency.unwrap_or(match kind {
                WorkKind::Stt => config.worker.stt_concurrency,
                WorkKind::Tts => config.worker.tts_concurrency,
                WorkKind::Llm => config.worker.llm_concurrency,
            }),
            running: AtomicUsize::new(0),
        };
        let lifecycle = Lifecycle::default();
        let shop = Arc::new(Shop {
            consumer: format!("{}-{}", std::process::id(), unique()),
            benches: plan.kinds.iter().map(bench).collect(),
            link,
            metrics: metrics.clone(),
            lifecycle: lifecycle.clone(),
            degraded: Degraded::default(),
            loaded: watch::Sender::new(None),
        });
        let failed = |source| RunError::Listen {
            address: config.worker.listen.clone(),
            source,
        };
        let listener = TcpListener::bind(&config.worker.listen)
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let house = House {
            server: config.server.clone(),
            slots: Arc::new(Semaphore::new(config.server.max_connections)),
            // nobody but the operator's monitoring asks here
            trusted_proxies: Vec::new(),
            clock: Clock::default(),
            metrics: metrics.clone(),
            lifecycle: lifecycle.clone(),
        };
        let router = health::router(Arc::clone(&shop));
        let accepting = lifecycle.spawn_beside(accept::serve(house, listener, router));
        let watch = watching(&meter, &shop.degraded);
        lifecycle.spawn(work(shop, catalog, watch));
        Ok(Self {
            lifecycle,
            address,
            metrics,
            accepting,
        })
    }

    /// Claims nothing more, waits up to `limit` for what is running, then gives it back.
    pub async fn stop(self, limit: Duration) -> Drained {
        let drained = self.lifecycle.drain(limit).await;
        self.accepting.abort();
        drained
    }
}

/// Runs a worker until SIGTERM or SIGINT and a drain.
///
/// # Errors
/// [`WorkerError`] when it cannot start.
pub async fn run(config: Config, plan: Plan) -> Result<(), WorkerError> {
    observe::logging::start(&config.log);
    let limit = Duration::from_secs(config.server.drain_s);
    let names: Vec<&str> = plan.kinds.iter().map(|kind| kind.name()).collect();
    let kinds = names.join(" ");
    let worker = Worker::start(config, plan).await?;
    listen_to_signals(&worker.lifecycle).map_err(RunError::Signals)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        kinds,
        "working; health and metrics on http://{}",
        worker.address
    );
    worker.lifecycle.soft().cancelled().await;
    match worker.stop(limit).await {
        Drained::Clean => tracing::info!("stopped"),
        Drained::Forced { cut_off } => tracing::warn!(cut_off, "stopped with work given back"),
    }
    Ok(())
}

/// Counts what providers do, and tells the job's gateway when one takes over from another.
fn watching(meter: &Meter, degraded: &Degraded) -> Watch {
    let (meter, degraded) = (meter.clone(), Arc::clone(degraded));
    Watch::new(move |incident| {
        if let Incident::FailedOver {
            session,
            stage,
            from,
            to,
        } = incident
            && let Some(kind) = codec::kind_of(*stage)
        {
            let sessions = degraded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(job) = sessions.get(&((*session).to_owned(), kind)) {
                // a job that was told of so many has nobody left to take over
                let _ = job.try_send(((*from).to_owned(), (*to).to_owned()));
            }
        }
        meter.tell(incident);
    })
}

/// Loads the models, then lets every place work until the worker is told to stop.
async fn work(shop: Arc<Shop>, config: providers::CatalogConfig, watch: Watch) {
    let loading = tokio::task::spawn_blocking(move || Catalog::open(config, watch));
    let opened = match loading.await {
        Ok(opened) => opened.map_err(|error| auth::chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    let pipeline = match opened {
        Ok(catalog) => catalog.default_pipeline(),
        Err(message) => {
            tracing::error!(message, "no work can be done");
            shop.loaded.send_replace(Some(Err(message)));
            return;
        }
    };
    shop.loaded.send_replace(Some(Ok(())));
    for at in 0..shop.benches.len() {
        for _ in 0..shop.benches[at].places {
            let place = place(Arc::clone(&shop), at, pipeline.clone());
            shop.lifecycle.spawn(place);
        }
    }
}

/// One place: a job, then the next.
async fn place(shop: Arc<Shop>, bench: usize, pipeline: Pipeline) {
    let bench = &shop.benches[bench];
    let mut claimer = Claimer::new(&bench.queue, &shop.consumer);
    let soft = shop.lifecycle.soft();
    while !soft.is_cancelled() {
        match claimer.next().await {
            Ok(Some(claim)) => {
                bench.running.fetch_add(1, Ordering::Relaxed);
                Held::work(&shop, &mut claimer, claim, bench, &pipeline).await;
                bench.running.fetch_sub(1, Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(_) => tokio::select! {
                () = soft.cancelled() => {}
                () = tokio::time::sleep(AGAIN_AFTER) => {}
            },
        }
    }
    // if Redis is away, whoever comes next finds nothing that this worker holds
    let _ = claimer.part().await;
}
