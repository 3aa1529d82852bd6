//! An agent that takes the survey: one frame for each it sends, as the clients of the protocol work.
//! The stories about the text survey use it.
//! It never waits longer than `PATIENCE` for a frame.

use futures_util::{SinkExt as _, StreamExt as _};
use gateway::Config;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::recorded::Recording;
use crate::smtp::{AUTHORITY, Protection, Sink};
use crate::world::{PATIENCE, World};

/// Questions of every kind but the one that the protocol began with.
pub(crate) fn mixed() -> Value {
    json!([
        { "text": "Do you like surveys?", "kind": "yes_no" },
        { "text": "Which colour?", "kind": "choice", "options": ["red", "dark blue"] },
        { "text": "How many?", "kind": "number", "min": 0.0, "max": 10.0, "whole": true },
        { "text": "Why?", "kind": "text", "max_characters": 20 },
    ])
}

/// Three questions of yes and no, as the originals had them.
pub(crate) fn three() -> Value {
    let ask = |text: &str| json!({ "text": text, "kind": "yes_no" });
    json!([ask("One? (y/n)"), ask("Two? (y/n)"), ask("Three? (y/n)")])
}

/// Mail goes to `sink`, by STARTTLS.
pub(crate) fn mails_to(sink: &Sink) -> impl Fn(&mut Config) + use<> {
    let port = sink.address.port();
    move |config| {
        config.mail.host = Some("localhost".to_owned());
        config.mail.port = port;
        config.mail.sender = Some("polls@sender.example".to_owned());
        config.mail.ca_file = Some(AUTHORITY.to_owned());
    }
}

/// A server whose survey is asked, and its mail server.
pub(crate) async fn asked(questions: &Value) -> (World, Sink) {
    let sink = Sink::start(Protection::StartTls).await;
    let world = World::start(mails_to(&sink)).await;
    ask(&world, "poll", questions).await;
    (world, sink)
}

/// Has a survey asked.
pub(crate) async fn ask(world: &World, id: &str, questions: &Value) {
    let new = json!({ "id": id, "name": "Poll", "questions": questions, "active": true });
    let made = world.post("/v1/surveys", &new).send().await.unwrap();
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
}

/// Asks for a code; the status and the body.
pub(crate) async fn request_code(world: &World, email: &str) -> (u16, Value) {
    let body = json!({ "email": email }).to_string();
    let request = world.anonymous(reqwest::Method::POST, "/survey/request-code");
    let answer = request.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A client of addresses that are no world's.
pub(crate) fn plain() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// One dialogue.
pub(crate) struct Agent {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    recording: Recording,
}

impl Agent {
    /// Connects and takes the first frame.
    pub(crate) async fn connect(world: &World, path: &str) -> (Self, String) {
        let mut agent = Self::dial(&world.url(path)).await;
        let first = agent.frame().await;
        (agent, first)
    }

    /// Connects and waits for nothing.
    pub(crate) async fn dial(url: &str) -> Self {
        let url = url.replacen("http", "ws", 1);
        let (socket, _) = connect_async(url).await.unwrap();
        Self {
            socket,
            recording: Recording::of("survey"),
        }
    }

    /// One that has typed its address and its code.
    pub(crate) async fn verified(world: &World, sink: &Sink, email: &str) -> (Self, String) {
        let before = sink.count();
        assert_eq!(request_code(world, email).await.0, 200);
        let code = sink.mail(before).await.code();
        let (mut agent, _) = Self::connect(world, "/survey/ws").await;
        agent.say(email).await;
        let reply = agent.say(&code).await;
        (agent, reply)
    }

    /// Types something; the one reply.
    pub(crate) async fn say(&mut self, text: &str) -> String {
        self.send(Message::text(text)).await;
        self.frame().await
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.recording.said(&message);
        self.socket.send(message).await.unwrap();
    }

    /// The next frame of text.
    pub(crate) async fn frame(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no text but {other:?}"),
            }
        }
    }

    /// The code and the reason that the server closes with; no more text comes before.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Message::Close(Some(frame)) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no close but {other:?}"),
            }
        }
    }

    /// The server answers our close with one.
    pub(crate) async fn gone(&mut self) {
        let answered = self.next().await;
        assert!(matches!(answered, Message::Close(_)), "{answered:?}");
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let frame = next.unwrap().unwrap().unwrap();
        self.recording.heard(&frame);
        frame
    }
}
