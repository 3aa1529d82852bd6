//! A server that is killed while apps talk to it: rows, budgets and places are what they were, there and at its neighbour.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use store::{Settings, Sql};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::redis_servers::{Servers, until};
use crate::talking::Socket;
use crate::{KEY, Server, sound};

/// Twelve thousand dollars for a million characters: the answer is a quarter of a dollar, and half a one is held for it.
const DEAR: [(&str, &str); 6] = [
    (
        "ANTIPHON_SCRIPTED__TRANSCRIPTS",
        "say: Good morning to you!",
    ),
    ("ANTIPHON_SESSIONS__SPECULATE", "false"),
    ("ANTIPHON_VOICE__PRICE_MILLION_CHARACTERS", "12000000000"),
    ("ANTIPHON_VOICE__MAX_OUTPUT_TOKENS", "10"),
    ("ANTIPHON_VOICE__SESSION_BUDGET_CENTS", "0"),
    ("ANTIPHON_VOICE__DAILY_BUDGET_CENTS", "80"),
];

/// An app at the voice socket; its user is whoever has the key.
struct App {
    socket: Socket,
    session: String,
}

impl App {
    /// A session, or the code that it was refused with.
    async fn begin(server: &Server) -> Result<Self, String> {
        let url = format!("ws://{}/voice", server.address);
        let (socket, _) = connect_async(url).await.unwrap();
        let mut app = Self {
            socket,
            session: String::new(),
        };
        let connected = app.until(&["connected"]).await;
        app.session = connected["sessionId"].as_str().unwrap().to_owned();
        let start = json!({ "type": "session_start", "authToken": KEY, "conversationId": "c1" });
        let start = Message::text(start.to_string());
        app.socket.send(start).await.unwrap();
        let answer = app.until(&["session_started", "error"]).await;
        match answer["code"].as_str() {
            None => Ok(app),
            Some(code) => Err(code.to_owned()),
        }
    }

    async fn until(&mut self, kinds: &[&str]) -> Value {
        loop {
            let Message::Text(text) = self.socket.next().await.unwrap().unwrap() else {
                continue;
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            if kinds.iter().any(|kind| message["type"] == *kind) {
                return message;
            }
        }
    }

    /// Speaks, and is silent long enough to be answered.
    async fn speak(&mut self) {
        let file = sound::question();
        let spoken = engine::audio::wav::read(&file, 1_000_000).unwrap();
        let mut samples = spoken.samples;
        samples.extend(vec![0; 16 * 900]);
        let bytes: Vec<u8> = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
        for frame in bytes.chunks(4096).filter(|frame| frame.len() >= 100) {
            let frame = Message::binary(frame.to_vec());
            self.socket.send(frame).await.unwrap();
        }
    }

    /// Speaks and hears the answer out; or the error that comes instead.
    async fn turn(&mut self) -> Value {
        self.speak().await;
        self.until(&["ai_response_complete", "error"]).await
    }
}

fn kill(mut server: Server) {
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}

/// The database of a server, beside it.
async fn database(dir: &tempfile::TempDir) -> Sql {
    let url = format!("sqlite:{}", dir.path().join("antiphon.db").display());
    Sql::open(&Settings::at(url)).await.unwrap()
}

#[tokio::test]
async fn rows_and_the_day_s_budget_survive_a_server_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &DEAR);
    let mut app = App::begin(&server).await.unwrap();
    let complete = app.turn().await;
    assert_eq!(complete["text"], "Good morning to you!", "{complete}");
    let sql = database(&dir).await;
    until("the turn is written", || async {
        let row = sql.voice_session("default", &app.session).await.unwrap();
        let said = sql.voice_messages("default", &app.session).await.unwrap();
        said.len() == 2 && row.is_some_and(|(row, _)| row.total_micros >= 240_000)
    })
    .await;
    // in the middle of the next answer
    app.speak().await;
    let heard = app.until(&["tts_audio"]).await;
    let heard = STANDARD.decode(heard["audio"].as_str().unwrap()).unwrap();
    assert!(!heard.is_empty());
    kill(server);

    let again = Server::start_with(dir.path(), &DEAR);
    let (row, usage) = sql
        .voice_session("default", &app.session)
        .await
        .unwrap()
        .unwrap();
    assert!(
        row.total_micros >= 240_000 && row.end_time.is_none(),
        "{row:?}"
    );
    assert!(usage.cost_micros >= 240_000, "{usage:?}");
    let said = sql.voice_messages("default", &app.session).await.unwrap();
    let roles: Vec<&str> = said.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(roles[..2], ["user", "assistant"]);
    // the places of who was there are free: three, and no fourth
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(App::begin(&again).await.unwrap());
    }
    let fourth = App::begin(&again).await.err();
    assert_eq!(fourth.as_deref(), Some("RATE_LIMIT_EXCEEDED"));
    // of the day's 80 cents 24 are gone, at least: one more answer, and not two
    let mut app = apps.remove(0);
    let first = app.turn().await;
    let refused = if first["type"] == "error" {
        first
    } else {
        app.turn().await
    };
    assert_eq!(refused["code"], "BUDGET_EXCEEDED", "{refused}");
    let sentence = refused["message"].as_str().unwrap();
    assert!(
        sentence.starts_with("Daily budget limit exceeded: $0."),
        "{sentence}"
    );
    drop((app, apps));
    assert_eq!(again.stop().0, 0);
}

#[tokio::test]
async fn a_neighbour_knows_places_and_budget_of_a_server_that_was_killed() {
    let servers = Servers::single().await;
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = DEAR.to_vec();
    settings.push(("REDIS_URL", servers.url.as_str()));
    let server = Server::start_with(dir.path(), &settings);
    let other = Server::start_with(other_dir.path(), &settings);
    let mut first = App::begin(&server).await.unwrap();
    let _second = App::begin(&server).await.unwrap();
    let mut here = App::begin(&other).await.unwrap();
    assert_eq!(first.turn().await["type"], "ai_response_complete");
    kill(server);
    // nobody has given the two places back: they count as long as they might still be taken
    let refused = App::begin(&other).await.err();
    assert_eq!(refused.as_deref(), Some("RATE_LIMIT_EXCEEDED"));
    // 24 cents were spent there: one more answer fits into the day, and not two
    assert_eq!(here.turn().await["type"], "ai_response_complete");
    let refused = here.turn().await;
    assert_eq!(
        refused["message"], "Daily budget limit exceeded: $0.48",
        "{refused}"
    );
    drop(here);
    assert_eq!(other.stop().0, 0);
}
