//! Telephone carriers' REST interfaces, played: they keep calls, take documented fields only, and answer as documented.
//! Started by the tests of this crate and of the gateway.
//! Knows nothing of the server under test; time is told to it.

mod exotel;
mod plivo;
mod telnyx;
mod twilio;
mod vonage;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use wire::telephony::Dialect;

/// What accounts are called here.
pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
/// Their secret.
pub(crate) const SECRET: &str = "test-token-of-the-account";
/// A number that no carrier connects.
pub(crate) const BAD_NUMBER: &str = "+15005550001";

/// The key of Vonage's application, as Vonage hands it out.
pub(crate) fn private_key() -> String {
    vonage::private_key()
}

/// A call as the carrier keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) from: String,
    /// The carrier's word.
    pub(crate) status: String,
    pub(crate) made_at: DateTime<Utc>,
    /// Every field of the request, JSON as text.
    pub(crate) fields: Vec<(String, String)>,
    /// What was done to it afterwards, in the carrier's words.
    pub(crate) done: Vec<String>,
}

impl Placed {
    /// A field of the request.
    pub(crate) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn is_over(&self) -> bool {
        let over = ["completed", "busy", "failed", "no-answer", "canceled"];
        over.contains(&self.status.as_str())
    }
}

/// How the next request is answered instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// With this status, and nothing is done.
    Status(u16),
    /// 429, and this many seconds to wait.
    Slow(u64),
    /// It is done, and the answer is 500.
    DoneAnd500,
    /// It is done, and there never is an answer.
    DoneAndSilent,
    /// It is done, and the answer is no JSON.
    DoneAndGarbage,
}

/// A request as it came.
pub(super) struct Asked {
    pub(super) method: String,
    /// Below the base address, without slash at its beginning.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) auth: String,
    pub(super) form: Vec<(String, String)>,
    pub(super) json: Value,
}

impl Asked {
    /// A value of the query.
    pub(super) fn asked_for(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether name and password are the account's.
    fn is_basic(&self) -> bool {
        self.auth == format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{SECRET}")))
    }
}

/// A status and a body.
pub(super) type Reply = (u16, Value);

/// Everything a carrier keeps.
pub(crate) struct Book {
    pub(crate) calls: Vec<Placed>,
    /// Requests that break the carrier's contract.
    pub(crate) offences: Vec<String>,
    /// Requests in the order in which they came: method and path.
    pub(crate) asked: Vec<String>,
    /// What time it is.
    pub(crate) now: DateTime<Utc>,
    /// Calls that may be asked for within a second.
    pub(crate) per_second: usize,
    faults: VecDeque<Fault>,
}

impl Book {
    /// Whether another call may be asked for now.
    fn may_dial(&self) -> bool {
        let since = self.now - TimeDelta::seconds(1);
        let lately = self.calls.iter().filter(|call| call.made_at > since);
        lately.count() < self.per_second
    }

    fn offend(&mut self, what: String) {
        self.offences.push(what);
    }

    /// Fields that are not in `known` break the contract.
    fn check_fields(&mut self, fields: &[(String, String)], known: &[&str]) -> bool {
        let unknown: Vec<String> = fields
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, _)| format!("no field {name}"))
            .collect();
        let fine = unknown.is_empty();
        self.offences.extend(unknown);
        fine
    }

    fn place(&mut self, id: String, to: &str, from: &str, fields: Vec<(String, String)>) {
        self.calls.push(Placed {
            id,
            to: to.to_owned(),
            from: from.to_owned(),
            status: "queued".to_owned(),
            made_at: self.now,
            fields,
            done: Vec::new(),
        });
    }

    fn call(&mut self, id: &str) -> Option<&mut Placed> {
        self.calls.iter_mut().find(|call| call.id == id)
    }
}

/// A running fake.
pub(crate) struct Fake {
    pub(crate) dialect: Dialect,
    /// The interface's base address.
    pub(crate) base: String,
    book: Arc<Mutex<Book>>,
}

impl Fake {
    /// One of this carrier, where it is `now`.
    pub(crate) async fn start(dialect: Dialect, now: DateTime<Utc>) -> Self {
        let book = Arc::new(Mutex::new(Book {
            calls: Vec::new(),
            offences: Vec::new(),
            asked: Vec::new(),
            now,
            per_second: 1,
            faults: VecDeque::new(),
        }));
        let app = Router::new()
            .fallback(serve)
            .with_state((dialect, Arc::clone(&book)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/base", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            dialect,
            base,
            book,
        }
    }

    /// Looks into the book, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap())
    }

    /// Answers the next request so.
    pub(crate) fn fault(&self, fault: Fault) {
        self.with(|book| book.faults.push_back(fault));
    }

    /// A second passes.
    pub(crate) fn second(&self) {
        self.with(|book| book.now += TimeDelta::seconds(1));
    }

    /// The one call there is.
    pub(crate) fn only_call(&self) -> Placed {
        self.with(|book| {
            assert_eq!(book.calls.len(), 1, "{:?}", book.asked);
            book.calls[0].clone()
        })
    }

    /// The call goes on: the carrier's next word for it.
    pub(crate) fn becomes(&self, id: &str, status: &str) {
        self.with(|book| status.clone_into(&mut book.call(id).unwrap().status));
    }

    /// Nothing broke the carrier's contract.
    pub(crate) fn was_content(&self) {
        self.with(|book| assert!(book.offences.is_empty(), "{:?}", book.offences));
    }
}

async fn serve(
    State((dialect, book)): State<(Dialect, Arc<Mutex<Book>>)>,
    request: Request,
) -> Response<Body> {
    let asked = read(request).await;
    let fault = {
        let mut book = book.lock().unwrap();
        book.asked.push(format!("{} {}", asked.method, asked.path));
        book.faults.pop_front()
    };
    match fault {
        Some(Fault::Status(status)) => return reply(status, &json!({}), None),
        Some(Fault::Slow(seconds)) => return reply(429, &json!({}), Some(seconds)),
        _ => {}
    }
    let (status, body) = {
        let mut book = book.lock().unwrap();
        match dialect {
            Dialect::Telnyx => telnyx::answer(&mut book, &asked),
            Dialect::Plivo => plivo::answer(&mut book, &asked),
            Dialect::Exotel => exotel::answer(&mut book, &asked),
            Dialect::Vonage => vonage::answer(&mut book, &asked),
            _ => twilio::answer(&mut book, &asked, dialect),
        }
    };
    match fault {
        Some(Fault::DoneAnd500) => reply(500, &json!({}), None),
        Some(Fault::DoneAndSilent) => std::future::pending().await,
        Some(Fault::DoneAndGarbage) => Response::new(Body::from("<html>")),
        _ => reply(status, &body, None),
    }
}

fn reply(status: u16, body: &Value, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    let body = if body.is_null() {
        Body::empty()
    } else {
        response = response.header(header::CONTENT_TYPE, "application/json");
        Body::from(body.to_string())
    };
    response.body(body).unwrap()
}

async fn read(request: Request) -> Asked {
    let (head, body) = request.into_parts();
    let header = |name: header::HeaderName| {
        let value = head.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let pairs = |bytes: &[u8]| -> Vec<(String, String)> {
        url::form_urlencoded::parse(bytes)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    };
    let is_json = header(header::CONTENT_TYPE).starts_with("application/json");
    let path = head.uri.path().trim_start_matches('/');
    Asked {
        method: head.method.to_string(),
        path: path.strip_prefix("base/").unwrap_or(path).to_owned(),
        query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
        auth: header(header::AUTHORIZATION),
        form: if is_json { Vec::new() } else { pairs(&body) },
        json: if is_json {
            serde_json::from_slice(&body).unwrap_or(Value::Null)
        } else {
            Value::Null
        },
    }
}

/// The fields of a JSON body, as text.
pub(super) fn json_fields(body: &Value) -> Vec<(String, String)> {
    let fields = body.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| match value {
            Value::String(text) => (name.clone(), text.clone()),
            other => (name.clone(), other.to_string()),
        })
        .collect()
}

/// An id that nobody has had, in 32 digits.
pub(super) fn fresh(book: &Book) -> String {
    format!("{:032x}", book.calls.len() + 0xfeed)
}
