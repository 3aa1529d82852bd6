//! A Supabase project as far as the voice door knows one: Auth's `GET /auth/v1/user` and `PostgREST`'s tables, with the keys,
//! columns, constraints and errors that the real ones insist on.
//! Stories start one, look at its tables, and let it fail.
//! It never takes a row that the original's tables would refuse.
//!
//! Contract: Supabase Auth (`error_code` in error bodies), `PostgREST` (`Prefer: resolution=…`, `on_conflict`, PGRST codes),
//! PostgreSQL's SQLSTATE, and the migration of the original's `voice_sessions`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

pub(crate) const ANON: &str = "the public key of the project";
pub(crate) const SERVICE: &str = "the server key of the project";

/// Columns of the tables, and whether they need a value.
const TABLES: [(&str, &str, &[(&str, Kind)]); 3] = [
    (
        "messages",
        "id",
        &[
            ("id", Kind::Uuid),
            ("conversation_id", Kind::Uuid),
            ("user_id", Kind::Uuid),
            ("role", Kind::Role),
            ("content", Kind::Text),
            ("type", Kind::Text),
            ("metadata", Kind::Object),
            ("created_at", Kind::Time),
        ],
    ),
    (
        "voice_sessions",
        "session_id",
        &[
            ("session_id", Kind::Text),
            ("user_id", Kind::Uuid),
            ("conversation_id", Kind::MaybeUuid),
            ("start_time", Kind::Time),
            ("end_time", Kind::Time),
            ("duration_ms", Kind::Int),
            ("status", Kind::Status),
            ("stt_requests", Kind::Int),
            ("stt_duration_ms", Kind::Int),
            ("llm_tokens_input", Kind::Int),
            ("llm_tokens_output", Kind::Int),
            ("llm_latency_ms", Kind::Int),
            ("tts_characters", Kind::Int),
            ("tts_latency_ms", Kind::Int),
            ("total_latency_ms", Kind::Int),
            ("stt_cost", Kind::Number),
            ("llm_cost", Kind::Number),
            ("tts_cost", Kind::Number),
            ("total_cost", Kind::Number),
            ("estimated_cost", Kind::Number),
            ("error_message", Kind::MaybeText),
            ("error_count", Kind::Int),
            ("client_info", Kind::Object),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
        ],
    ),
    (
        "usage_logs",
        "id",
        &[
            ("id", Kind::Uuid),
            ("user_id", Kind::Uuid),
            ("event", Kind::Text),
            ("feature", Kind::Text),
            ("tier", Kind::Text),
            ("tokens_used", Kind::Int),
            ("estimated_cost", Kind::Number),
            ("metadata", Kind::Object),
            ("created_at", Kind::Time),
        ],
    ),
];

#[derive(Clone, Copy)]
enum Kind {
    Uuid,
    MaybeUuid,
    Text,
    MaybeText,
    Int,
    Number,
    Time,
    Object,
    Role,
    Status,
}

impl Kind {
    /// SQLSTATE of what PostgreSQL refuses it with.
    fn check(self, value: &Value) -> Result<(), &'static str> {
        let uuid = |text: &str| {
            let groups: Vec<usize> = text.split('-').map(str::len).collect();
            groups == [8, 4, 4, 4, 12] && text.chars().all(|it| it == '-' || it.is_ascii_hexdigit())
        };
        let refuse = |fits: bool, state| if fits { Ok(()) } else { Err(state) };
        match (self, value) {
            (Self::MaybeUuid | Self::MaybeText, Value::Null) => Ok(()),
            (_, Value::Null) => Err("23502"),
            (Self::Uuid | Self::MaybeUuid, it) => refuse(it.as_str().is_some_and(uuid), "22P02"),
            (Self::Text | Self::MaybeText, it) => refuse(it.is_string(), "22P02"),
            (Self::Int, it) => refuse(
                it.as_i64().is_some_and(|it| i32::try_from(it).is_ok()),
                "22003",
            ),
            (Self::Number, it) => refuse(it.as_f64().is_some_and(|it| it.abs() < 1e6), "22003"),
            (Self::Time, it) => {
                let time = it.as_str().map(chrono::DateTime::parse_from_rfc3339);
                refuse(time.is_some_and(|it| it.is_ok()), "22007")
            }
            (Self::Object, it) => refuse(it.is_object(), "22P02"),
            (Self::Role, it) => {
                refuse(["user", "assistant"].iter().any(|role| it == role), "23514")
            }
            (Self::Status, it) => {
                let known = [
                    "initializing",
                    "connected",
                    "listening",
                    "transcribing",
                    "thinking",
                    "speaking",
                    "ended",
                    "error",
                ];
                refuse(known.iter().any(|status| it == status), "23514")
            }
        }
    }
}

#[derive(Default)]
struct Project {
    /// Tokens and whose they are; `None` of users who were deleted.
    tokens: HashMap<String, Option<String>>,
    tiers: HashMap<String, String>,
    /// Conversations and whose they are.
    conversations: HashMap<String, String>,
    tables: HashMap<String, BTreeMap<String, Value>>,
    /// So many of the next requests fail with 503.
    failing: usize,
    requests: usize,
}

/// A running project.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    project: Arc<Mutex<Project>>,
    pub(crate) url: String,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let mut fake = Self::default();
        let router = Router::new()
            .route("/auth/v1/user", get(user))
            .route("/rest/v1/profiles", get(profiles))
            .route("/rest/v1/conversations", get(conversations))
            .route("/rest/v1/{table}", post(insert))
            .with_state(Arc::clone(&fake.project));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        fake.url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// A user with a token and a tier.
    pub(crate) fn user(&self, token: &str, id: &str, tier: &str) {
        let mut project = self.project.lock().unwrap();
        project.tokens.insert(token.to_owned(), Some(id.to_owned()));
        project.tiers.insert(id.to_owned(), tier.to_owned());
    }

    /// A conversation of a user.
    pub(crate) fn conversation(&self, id: &str, user: &str) {
        let mut project = self.project.lock().unwrap();
        project.conversations.insert(id.to_owned(), user.to_owned());
    }

    /// The user of a token is deleted; the token is still signed rightly.
    pub(crate) fn delete_user(&self, token: &str) {
        let mut project = self.project.lock().unwrap();
        project.tokens.insert(token.to_owned(), None);
    }

    /// The next so many requests fail.
    pub(crate) fn fail(&self, requests: usize) {
        self.project.lock().unwrap().failing = requests;
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.project.lock().unwrap().requests
    }

    /// The rows of a table.
    pub(crate) fn rows(&self, table: &str) -> Vec<Value> {
        let project = self.project.lock().unwrap();
        let rows = project.tables.get(table);
        rows.map(|rows| rows.values().cloned().collect())
            .unwrap_or_default()
    }
}

type Shared = State<Arc<Mutex<Project>>>;
type Answer = (StatusCode, Json<Value>);

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("authorization")?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// What the gateway in front of everything refuses.
fn gate(project: &mut Project, headers: &HeaderMap) -> Result<(), Answer> {
    project.requests += 1;
    if project.failing > 0 {
        project.failing -= 1;
        let body = json!({ "message": "name resolution failed" });
        return Err((StatusCode::SERVICE_UNAVAILABLE, Json(body)));
    }
    let key = headers.get("apikey").and_then(|it| it.to_str().ok());
    if !matches!(key, Some(ANON | SERVICE)) {
        let body = json!({ "message": "No API key found in request", "hint": "No `apikey` request header or url param was found." });
        return Err((StatusCode::UNAUTHORIZED, Json(body)));
    }
    Ok(())
}

async fn user(State(project): Shared, headers: HeaderMap) -> Answer {
    let mut project = project.lock().unwrap();
    if let Err(refused) = gate(&mut project, &headers) {
        return refused;
    }
    let refuse = |status, code: &str, text: &str| {
        let body = json!({ "code": StatusCode::as_u16(&status), "error_code": code, "msg": text });
        (status, Json(body))
    };
    match bearer(&headers).map(|token| project.tokens.get(token)) {
        None => refuse(
            StatusCode::UNAUTHORIZED,
            "no_authorization",
            "This endpoint requires a Bearer token",
        ),
        Some(None) => refuse(
            StatusCode::FORBIDDEN,
            "bad_jwt",
            "invalid JWT: unable to parse or verify signature",
        ),
        Some(Some(None)) => refuse(
            StatusCode::FORBIDDEN,
            "user_not_found",
            "User from sub claim in JWT does not exist",
        ),
        Some(Some(Some(id))) => {
            let body = json!({ "id": id, "aud": "authenticated", "role": "authenticated", "email": "u@example.com" });
            (StatusCode::OK, Json(body))
        }
    }
}

async fn profiles(
    State(project): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let mut project = project.lock().unwrap();
    if let Err(refused) = gate(&mut project, &headers) {
        return refused;
    }
    assert_eq!(
        query.get("select").map(String::as_str),
        Some("subscription_tier")
    );
    let id = query
        .get("id")
        .and_then(|it| it.strip_prefix("eq."))
        .unwrap();
    // row-level security: the public key sees no rows
    let seen = bearer(&headers) == Some(SERVICE);
    let tier = project.tiers.get(id).filter(|_| seen);
    let rows: Vec<Value> = tier
        .iter()
        .map(|tier| json!({ "subscription_tier": tier }))
        .collect();
    (StatusCode::OK, Json(json!(rows)))
}

async fn conversations(
    State(project): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let mut project = project.lock().unwrap();
    if let Err(refused) = gate(&mut project, &headers) {
        return refused;
    }
    assert_eq!(query.get("select").map(String::as_str), Some("user_id"));
    let id = query.get("id").and_then(|it| it.strip_prefix("eq."));
    let id = id.unwrap();
    if let Err(state) = Kind::Uuid.check(&json!(id)) {
        let text = format!("invalid input syntax for type uuid: \"{id}\"");
        let body = json!({ "code": state, "message": text, "details": null, "hint": null });
        return (StatusCode::BAD_REQUEST, Json(body));
    }
    // row-level security: the public key sees no rows
    let seen = bearer(&headers) == Some(SERVICE);
    let owner = project.conversations.get(id).filter(|_| seen);
    let rows: Vec<Value> = owner
        .iter()
        .map(|owner| json!({ "user_id": owner }))
        .collect();
    (StatusCode::OK, Json(json!(rows)))
}

async fn insert(
    State(project): Shared,
    Path(table): Path<String>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
    Json(row): Json<Value>,
) -> Answer {
    let mut project = project.lock().unwrap();
    if let Err(refused) = gate(&mut project, &headers) {
        return refused;
    }
    let refuse = |status: u16, code: &str, text: String| {
        let body = json!({ "code": code, "message": text, "details": null, "hint": null });
        (StatusCode::from_u16(status).unwrap(), Json(body))
    };
    let Some((_, unique, columns)) = TABLES.iter().find(|(name, ..)| *name == table) else {
        let text = format!("Could not find the table 'public.{table}' in the schema cache");
        return refuse(404, "PGRST205", text);
    };
    if bearer(&headers) != Some(SERVICE) {
        let text = format!("new row violates row-level security policy for table \"{table}\"");
        return refuse(401, "42501", text);
    }
    let fields = row.as_object().unwrap();
    for name in fields.keys() {
        if !columns.iter().any(|(column, _)| column == name) {
            let text =
                format!("Could not find the '{name}' column of '{table}' in the schema cache");
            return refuse(400, "PGRST204", text);
        }
    }
    for (column, kind) in *columns {
        if let Err(state) = kind.check(fields.get(*column).unwrap_or(&Value::Null)) {
            return refuse(400, state, format!("column \"{column}\" of \"{table}\""));
        }
    }
    if query.get("on_conflict").map(String::as_str) != Some(*unique) {
        let text =
            "there is no unique or exclusion constraint matching the ON CONFLICT specification";
        return refuse(400, "42P10", text.to_owned());
    }
    let prefer = headers.get("prefer").map_or("", |it| it.to_str().unwrap());
    let merges = prefer.contains("resolution=merge-duplicates");
    let key = fields[*unique].as_str().unwrap().to_owned();
    let rows = project.tables.entry(table.clone()).or_default();
    if rows.contains_key(&key) && !merges {
        let text =
            format!("duplicate key value violates unique constraint \"{table}_{unique}_key\"");
        return refuse(409, "23505", text);
    }
    rows.insert(key, row);
    (StatusCode::CREATED, Json(Value::Null))
}
