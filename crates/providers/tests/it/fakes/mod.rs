//! Language model vendors on real sockets. Each refuses whatever breaks its vendor's documented contract.
//! Started by the tests of the vendors' clients, one per test; every test owns its fake.
//! Knows what all of them share: a vendor's file knows the words of its protocol, and nothing of sockets.
//!
//! **What is answered** depends on the last words of the user: `hang`, `forever`, `cut`, `trouble`, `away`, `no money`,
//! `moved`, `malformed`, `bare` and `call` are played as [`play`] says; anything else is answered with
//! [`WORDS`], or with as many of them as the limit on tokens allows (one word is one token).
//!
//! **Faults** work on every fake alike and take effect in front of the vendor's own rules:
//!
//! ```ignore
//! fake.fault(Fault::StallMidway);                // the next question only; may be called several times
//! fake.fault_always(Some(Fault::Broken)).await;  // every question, until told otherwise
//! ```
//!
//! | fault | what the client sees | kind of failure |
//! |---|---|---|
//! | `Refuse` | nobody listens; connections that are open stay open | `Unavailable`, at once |
//! | `Unauthorized` | 401 in the vendor's words (400 at Gemini) | `Unauthorized` |
//! | `RateLimited` | 429 in the vendor's words, `Retry-After: 2` | `RateLimited`, 2 s |
//! | `Broken` | 500 in the vendor's words | `Unavailable` |
//! | `StallBefore` | the question is taken, no byte comes back | `Timeout`, after `first_event` |
//! | `StallMidway` | the answer stops behind its second word | `Timeout`, after `between_events` |
//! | `CloseMidway` | the connection closes behind the second word | `Unavailable` |
//! | `Garbage` | noise behind the second word | `Protocol` |
//! | `Trickle` | the whole answer, 16 bytes every 2 ms | none |
//!
//! The fakes of speech (`wire.rs`) know the same faults for as long as they last, beside some of their own: see
//! `wire::Mischief`.
//!
//! `Refuse` is for all questions: it is set with `fault_always`, and `fault_always(None)` lets clients in again.

pub(crate) mod anthropic;
pub(crate) mod assemblyai;
pub(crate) mod carriers;
pub(crate) mod cartesia;
pub(crate) mod deepgram;
pub(crate) mod elevenlabs;
mod fault;
pub(crate) mod gemini;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod openai_audio;
pub(crate) mod responses;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::fault::Fault;
use self::fault::{Door, Faults, Peer};

pub(crate) const KEY: &str = "sk-test-0123456789";
const MODEL: &str = "fake-model";
/// What is said to most questions.
const WORDS: [&str; 3] = ["All ", "is ", "well."];
/// Bytes of the longest question.
const LONGEST: usize = 1024 * 1024;
/// How an answer trickles.
const DROPS: (usize, Duration) = (16, Duration::from_millis(2));
/// Tokens of every prompt, and those of them that came from a cache.
pub(crate) const PROMPT_TOKENS: (u32, u32) = (11, 7);

/// A request as it arrived.
pub(crate) struct Arrived<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// `Null` for a body that is not JSON.
    pub(crate) body: &'a Value,
}

impl Arrived<'_> {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A question that keeps the contract.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The last words of the user.
    pub(crate) words: String,
    /// Names of the functions on offer.
    pub(crate) functions: Vec<String>,
    /// Limit on generated tokens.
    pub(crate) limit: Option<usize>,
}

/// What a request turns out to be.
pub(crate) enum Request {
    Question(Asked),
    /// Whether anybody is there.
    Check,
}

/// A refusal, before it is put in the vendor's words.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) what: &'static str,
    pub(crate) message: String,
}

pub(crate) fn refusal(status: u16, what: &'static str, message: &str) -> Refusal {
    Refusal {
        status,
        what,
        message: message.to_owned(),
    }
}

/// The request itself is wrong.
pub(crate) fn invalid(message: &str) -> Refusal {
    refusal(400, "invalid_request_error", message)
}

/// What is said to a question.
pub(crate) enum Said<'a> {
    /// These words; the limit was reached in front of the next one where `cut` is set.
    Words { words: &'a [&'a str], cut: bool },
    /// Two calls: the first function with `{"city":"Bern"}`, the second with `{}`.
    Calls(&'a [String]),
}

/// An answer in the vendor's words, each part one event.
pub(crate) struct Script {
    pub(crate) before: Vec<String>,
    /// One event a word (or a piece of a call).
    pub(crate) said: Vec<String>,
    pub(crate) after: Vec<String>,
}

/// A vendor's protocol.
pub(crate) trait Dialect: Send + Sync + 'static {
    /// What its base address ends with, for example `/v1`.
    fn base(&self) -> &'static str;
    /// The one model there is.
    fn model(&self) -> &'static str {
        MODEL
    }
    fn content_type(&self) -> &'static str;
    /// Holds a request against the contract.
    fn read(&self, arrived: &Arrived<'_>) -> Result<Request, Refusal>;
    /// The body of a refusal, and the status where the vendor has another one.
    fn refuse(&self, refusal: &Refusal) -> (u16, Value);
    fn answer(&self, said: &Said<'_>) -> Script;
    /// An event that breaks off.
    fn malformed(&self) -> String;
    /// The end of an answer as a bare server would send it: a reason, but neither counts nor an end mark.
    /// `None` where the contract leaves no room for that.
    fn bare_end(&self) -> Option<String>;
}

/// A vendor that runs.
pub(crate) struct Fake {
    pub(crate) base_url: String,
    world: Arc<World>,
    given_up: mpsc::Receiver<()>,
}

struct World {
    dialect: Box<dyn Dialect>,
    faults: Faults,
    seen: Mutex<Seen>,
    gone: mpsc::Sender<()>,
    cut: Arc<Notify>,
}

#[derive(Default)]
struct Seen {
    bodies: Vec<Value>,
    targets: Vec<String>,
    peers: HashSet<SocketAddr>,
    /// Questions left before the rate limit.
    left: Option<u32>,
}

impl Fake {
    pub(crate) async fn start(dialect: Box<dyn Dialect>) -> Self {
        let (gone, given_up) = mpsc::channel(8);
        let base = dialect.base();
        let (faults, door) = fault::switch().await;
        let base_url = format!("http://{}{base}", door.address());
        let world = Arc::new(World {
            dialect,
            faults,
            seen: Mutex::default(),
            gone,
            cut: Arc::default(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&world))
            .into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve::<Door, _, _>(door, router).await });
        Self {
            base_url,
            world,
            given_up,
        }
    }

    /// What happens to the next question.
    pub(crate) fn fault(&self, fault: Fault) {
        self.world.faults.next(fault);
    }

    /// What happens to every question from now on.
    pub(crate) async fn fault_always(&self, fault: Option<Fault>) {
        self.world.faults.always(fault).await;
    }

    pub(crate) fn limit_to(&self, questions: u32) {
        self.world.seen.lock().unwrap().left = Some(questions);
    }

    /// Whether a question has been taken.
    pub(crate) fn was_asked(&self) -> bool {
        !self.world.seen.lock().unwrap().bodies.is_empty()
    }

    pub(crate) fn last_body(&self) -> Value {
        let seen = self.world.seen.lock().unwrap();
        seen.bodies.last().cloned().unwrap()
    }

    /// The one model there is.
    pub(crate) fn model(&self) -> &'static str {
        self.world.dialect.model()
    }

    /// Whether an answer may end with no more than a reason.
    pub(crate) fn may_end_bare(&self) -> bool {
        self.world.dialect.bare_end().is_some()
    }

    /// Path and query of every request.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.world.seen.lock().unwrap().targets.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.world.seen.lock().unwrap().peers.len()
    }

    /// Cuts the connection of an answer that waits for it.
    pub(crate) fn cut(&self) {
        self.world.cut.notify_one();
    }

    /// Returns when an answer was dropped before its end.
    pub(crate) async fn given_up(&mut self) {
        self.given_up.recv().await.unwrap();
    }
}

async fn serve(
    State(world): State<Arc<World>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LONGEST).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    {
        let mut seen = world.seen.lock().unwrap();
        seen.peers.insert(peer);
        seen.targets.push(target.to_owned());
    }
    let fault = world.faults.take();
    if let Some(refused) = fault.and_then(Fault::refusal) {
        return world.refuse(&refused);
    }
    if fault == Some(Fault::StallBefore) {
        std::future::pending::<()>().await;
    }
    let arrived = Arrived {
        method: head.method,
        target: target.strip_prefix(world.dialect.base()).unwrap_or(""),
        headers: &head.headers,
        body: &body,
    };
    match world.dialect.read(&arrived) {
        Err(refused) => world.refuse(&refused),
        Ok(Request::Check) => (StatusCode::OK, "{}").into_response(),
        Ok(Request::Question(asked)) => {
            let limited = {
                let mut seen = world.seen.lock().unwrap();
                seen.bodies.push(body);
                match &mut seen.left {
                    Some(0) => true,
                    Some(left) => {
                        *left -= 1;
                        false
                    }
                    None => false,
                }
            };
            if limited {
                return world.refuse(&fault::rate_limit());
            }
            world.play(&asked, fault)
        }
    }
}

impl World {
    fn refuse(&self, refused: &Refusal) -> Response {
        let (status, body) = self.dialect.refuse(refused);
        let status = StatusCode::from_u16(status).unwrap();
        let response = (status, axum::Json(body)).into_response();
        match refused.status {
            429 => ([(header::RETRY_AFTER, "2")], response).into_response(),
            _ => response,
        }
    }

    fn play(&self, asked: &Asked, fault: Option<Fault>) -> Response {
        let words = Said::Words {
            words: &WORDS,
            cut: false,
        };
        match asked.words.as_str() {
            "hang" => self.stream(Body::from_stream(stream::pending::<
                Result<Vec<u8>, Infallible>,
            >())),
            "forever" => self.endless(),
            "cut" => self.broken(self.dialect.answer(&words)),
            "trouble" => self.refuse(&refusal(500, "server_error", "The server had an error")),
            "away" => {
                let wait = [(header::RETRY_AFTER, "30")];
                (StatusCode::SERVICE_UNAVAILABLE, wait, "<html>").into_response()
            }
            "no money" => {
                let message = "You exceeded your current quota";
                self.refuse(&refusal(402, "insufficient_quota", message))
            }
            "moved" => {
                let elsewhere = [(header::LOCATION, "/elsewhere")];
                (StatusCode::TEMPORARY_REDIRECT, elsewhere).into_response()
            }
            "malformed" => {
                let script = self.dialect.answer(&words);
                let parts = [script.before, script.said, vec![self.dialect.malformed()]];
                self.whole(parts.concat().concat().as_bytes())
            }
            "bare" => {
                let script = self.dialect.answer(&words);
                let end = self.dialect.bare_end().into_iter().collect();
                self.whole(
                    [script.before, script.said, end]
                        .concat()
                        .concat()
                        .as_bytes(),
                )
            }
            "call" => {
                let calls = Said::Calls(&asked.functions);
                self.scripted(self.dialect.answer(&calls), fault)
            }
            _ => {
                // a story is long enough for any limit
                let story = asked.words.contains("long story");
                let cut = asked.limit.filter(|limit| story || *limit <= WORDS.len());
                let words = WORDS.iter().copied().cycle();
                let words: Vec<&str> = words.take(cut.unwrap_or(WORDS.len())).collect();
                let said = Said::Words {
                    words: &words,
                    cut: cut.is_some(),
                };
                self.scripted(self.dialect.answer(&said), fault)
            }
        }
    }

    fn stream(&self, body: Body) -> Response {
        let kind = [(header::CONTENT_TYPE, self.dialect.content_type())];
        (kind, body).into_response()
    }

    fn scripted(&self, script: Script, fault: Option<Fault>) -> Response {
        let middle: usize = script
            .before
            .iter()
            .chain(script.said.iter().take(2))
            .map(String::len)
            .sum();
        let bytes = [script.before, script.said, script.after].concat().concat();
        match fault.and_then(|fault| fault.body(bytes.as_bytes(), middle, DROPS)) {
            Some(body) => self.stream(body),
            None => self.whole(bytes.as_bytes()),
        }
    }

    /// Sent in cuts that respect neither lines nor characters.
    fn whole(&self, bytes: &[u8]) -> Response {
        let cuts: Vec<Result<Vec<u8>, Infallible>> =
            bytes.chunks(37).map(|cut| Ok(cut.to_vec())).collect();
        self.stream(Body::from_stream(stream::iter(cuts)))
    }

    /// Cut only when the client has read what came: what is unread is lost with the connection.
    fn broken(&self, script: Script) -> Response {
        let cut = Arc::clone(&self.cut);
        let end = stream::once(async move {
            cut.notified().await;
            Err(std::io::Error::other("cut"))
        });
        let parts = [script.before, script.said].concat().into_iter().map(Ok);
        self.stream(Body::from_stream(stream::iter(parts).chain(end)))
    }

    /// Speaks until the client goes away, and tells that it did.
    fn endless(&self) -> Response {
        struct Tell(mpsc::Sender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.try_send(());
            }
        }
        let tell = Tell(self.gone.clone());
        let script = self.dialect.answer(&Said::Words {
            words: &["on and "],
            cut: false,
        });
        let word = script.said.concat();
        let words = stream::repeat_with(move || {
            let _held = &tell;
            word.clone()
        });
        let parts = stream::iter(script.before).chain(words);
        self.stream(Body::from_stream(parts.then(|part| async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(part)
        })))
    }
}
