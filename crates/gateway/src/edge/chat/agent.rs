//! A machine that answers in rooms, as one of their members, until a person takes over.
//! Begun by [`super::desk`] when a customer has said something, where `chat.agent` names an agent.
//! Never answers twice at once in a room, on however many servers it is, never speaks after a person has taken over, and never says half of an answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use engine::ask::{LlmMessage, LlmRequest};
use providers::ports::LlmEvent;
use serde_json::json;
use store::live::leases::{Lease, Room as Place};
use store::live::limiter::LevelKind;
use store::{ChatPage, TenantStatus};
use tokio::time::{Instant, sleep};
use wire::chat::{ChatExtra, ChatRole, ChatServerMessage, Delta, Posted, Sender};
use wire::ids::Ids;
use wire::realtime::session::Tool;

use super::backend::Unwilling;
use super::desk::{handed_over, lately};
use super::hub::News;
use super::keeper::Saying;
use super::room::Room;
use super::times::iso;
use crate::App;
use crate::api::answer_as_agent;
use crate::auth::{Allowance, Principal};

/// Messages that the machine reads before it answers.
const READ: u32 = 40;
/// The function with which the machine asks for a person.
const HAND_OVER: &str = "hand_over_to_human";
/// How long an answer of another server is waited for.
const ALONE_WITHIN: Duration = Duration::from_mins(2);
/// Between two looks whether it has ended.
const AGAIN: Duration = Duration::from_millis(200);
/// Longest answer, in characters; what comes behind it is left out.
const ANSWER_CHARS: usize = 16_000;

/// Rooms in which the machine is answering, and whether it was spoken to meanwhile.
#[derive(Debug, Default)]
pub(super) struct Answering(Mutex<HashMap<Arc<str>, bool>>);

impl Answering {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody is answering in this room yet.
    fn begin(&self, room: &Arc<str>) -> bool {
        let mut rooms = self.lock();
        if let Some(again) = rooms.get_mut(room) {
            *again = true;
            return false;
        }
        rooms.insert(Arc::clone(room), false);
        true
    }

    /// Whether something was said meanwhile, and has to be answered as well.
    fn again(&self, room: &Arc<str>) -> bool {
        let mut rooms = self.lock();
        let again = rooms.get_mut(room).is_some_and(std::mem::take);
        if !again {
            rooms.remove(room);
        }
        again
    }

    fn end(&self, room: &Arc<str>) {
        self.lock().remove(room);
    }
}

/// A room among those that are being answered; not any more when its task ends, however that comes.
struct Turn {
    app: Arc<App>,
    room: Arc<Room>,
    /// Whether it is among them no more.
    over: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            self.app.chat.answering.end(&self.room.id);
        }
    }
}

/// The only place for a machine in this room on all servers; `None` where another keeps it for too long.
async fn alone(app: &App, room: &Room) -> Option<Lease> {
    let place = Place {
        kind: LevelKind::User,
        id: format!("chat-agent:{}/{}", app.config.chat.tenant, room.id),
        places: 1,
    };
    let until = Instant::now() + ALONE_WITHIN;
    loop {
        let entry = app.store.live.leases.enter(std::slice::from_ref(&place));
        if let Ok(lease) = entry.await.outcome {
            return Some(lease);
        }
        // another server answers: what it has not read yet is answered here, behind it
        if app.lifecycle.stopping() || Instant::now() > until {
            return None;
        }
        sleep(AGAIN).await;
    }
}

/// Lets the machine answer, where there is one and nobody else answers.
pub(super) fn answer(app: &Arc<App>, room: &Arc<Room>) {
    if app.config.chat.agent.is_none() || !app.chat.answering.begin(&room.id) {
        return;
    }
    let (app, room) = (Arc::clone(app), Arc::clone(room));
    let lifecycle = app.lifecycle.clone();
    let turn = Turn {
        app,
        room,
        over: false,
    };
    lifecycle.spawn(async move {
        // all of it: it says that it is over when it is dropped
        let mut turn = turn;
        let Some(_alone) = alone(&turn.app, &turn.room).await else {
            tracing::warn!("the agent of a chat room answers on another server, and does not end");
            return;
        };
        loop {
            if let Err(why) = Box::pin(speak(&turn.app, &turn.room)).await {
                tracing::warn!(why, "the agent of a chat room does not answer");
            }
            if !turn.app.chat.answering.again(&turn.room.id) {
                turn.over = true;
                return;
            }
        }
    });
}

/// Notes and tells who answers from now on: `human` or `agent`, and which person.
pub(super) async fn hand_over(
    app: &App,
    room: &Arc<Room>,
    (to, person): (&'static str, Option<&str>),
    reason: Option<String>,
) -> Result<(), Unwilling> {
    let now = app.clock.utc();
    if let Some(own) = app.chat.keeper.own() {
        let noted = own
            .sql
            .answer_chat(&own.tenant, (&room.id, to, person), now);
        if let Err(error) = noted.await {
            let error = crate::auth::chain(&error);
            tracing::error!(error, "cannot note who answers in a chat room");
            return Err(Unwilling("it could not be noted; try again".to_owned()));
        }
    }
    room.set_human(to == "human");
    let message = handed_over(to, reason, iso(now));
    let news = News::passing(&message, Some(ChatExtra::Handover));
    app.chat.hub.tell(room, news).await;
    Ok(())
}

/// Whether a person answers in this room.
async fn is_human(app: &App, room: &Room) -> bool {
    if room.is_human() {
        return true;
    }
    let Some(own) = app.chat.keeper.own() else {
        return false;
    };
    let found = own.sql.chat_room(&own.tenant, &room.id).await;
    matches!(found, Ok(Some(room)) if room.answered_by == "human")
}

/// What was said lately, oldest first.
async fn said(app: &App, room: &Room) -> Vec<Posted> {
    if let Some(own) = app.chat.keeper.own() {
        let read = own.read(&room.id, ChatPage::Newest, READ).await;
        return read.map(|(messages, _)| messages).unwrap_or_default();
    }
    let after = store::live::rooms::After::Cursor("");
    let behind = app.store.live.rooms.behind(&room.id, after).await;
    let told = behind.unwrap_or_default().told;
    let messages = lately(told.iter().map(|told| told.text.as_str()));
    let first = messages.len().saturating_sub(READ as usize);
    messages[first..].to_vec()
}

fn question(said: Vec<Posted>, session: String) -> LlmRequest {
    let as_message = |posted: Posted| match posted.role.as_str() {
        "user" => Some(LlmMessage::User {
            text: posted.content,
            images: Vec::new(),
        }),
        "agent" | "assistant" => Some(LlmMessage::Assistant(posted.content)),
        _ => None,
    };
    let hand_over = Tool::Function {
        name: HAND_OVER.to_owned(),
        description: Some(
            "Hand the conversation over to a person, when the customer asks for one or when you cannot help.".to_owned(),
        ),
        parameters: Some(json!({
            "type": "object",
            "properties": { "reason": { "type": "string", "description": "Why, for that person." } },
        })),
    };
    LlmRequest {
        session,
        messages: said.into_iter().filter_map(as_message).collect(),
        tools: vec![hand_over],
        ..LlmRequest::default()
    }
}

/// One answer, streamed to those who want that, then said as a message.
async fn speak(app: &Arc<App>, room: &Arc<Room>) -> Result<(), String> {
    let Some(name) = app.config.chat.agent.as_deref() else {
        return Ok(());
    };
    if is_human(app, room).await {
        return Ok(());
    }
    let id = Ids::seeded(app.seed()).next("chat");
    let question = question(said(app, room).await, id.clone());
    if !matches!(question.messages.last(), Some(LlmMessage::User { .. })) {
        return Ok(());
    }
    let who = principal(app).await?;
    let counted = crate::auth::rates::count_own(app, &who).await;
    counted.map_err(|error| error.message)?;
    let mut stream = answer_as_agent(app, &who, name, question).await?;
    let mut heard = Heard::default();
    let delta = |words: String, done: bool| tell_delta(app, room, (&id, words, done));
    let failed = loop {
        match stream.events.recv().await {
            Some(LlmEvent::Text(words)) => {
                heard.text.push_str(&words);
                if !room.is_human() {
                    delta(words, false).await;
                }
            }
            Some(LlmEvent::ToolCall { name, .. }) => heard.hands_over |= name == HAND_OVER,
            Some(LlmEvent::ToolArguments(json)) => heard.arguments.push_str(&json),
            Some(LlmEvent::Done { .. }) => break None,
            Some(LlmEvent::Failed(error)) => break Some(error.message),
            None => break Some("the answer broke off".to_owned()),
        }
    };
    delta(String::new(), true).await;
    if let Some(why) = failed {
        return Err(why);
    }
    // a person who came meanwhile is not talked over
    if is_human(app, room).await {
        return Ok(());
    }
    let words: String = heard.text.trim().chars().take(ANSWER_CHARS).collect();
    if !words.is_empty() {
        say(app, room, (name, &words, &id)).await?;
    }
    if heard.hands_over {
        let reason = heard.reason();
        let handed = hand_over(app, room, ("human", None), reason).await;
        handed.map_err(|Unwilling(why)| why)?;
    }
    Ok(())
}

/// What came of an answer.
#[derive(Default)]
struct Heard {
    text: String,
    hands_over: bool,
    arguments: String,
}

impl Heard {
    fn reason(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(&self.arguments).ok()?;
        Some(value["reason"].as_str()?.to_owned())
    }
}

/// On whose account the machine answers: that of the tenant whose rooms they are, with its limits.
async fn principal(app: &App) -> Result<Principal, String> {
    let found = app.store.sql.find_tenant(&app.config.chat.tenant).await;
    let tenant = found.map_err(|error| crate::auth::chain(&error))?;
    let tenant = tenant.filter(|tenant| tenant.status == TenantStatus::Active);
    let tenant = tenant.ok_or("the tenant of the chat rooms may not come in")?;
    Ok(Principal {
        tenant: tenant.id,
        allowance: Allowance {
            plan: tenant.plan,
            limits: tenant.limits,
        },
        ..Principal::of_installation("chat")
    })
}

async fn tell_delta(app: &App, room: &Arc<Room>, (id, words, done): (&str, String, bool)) {
    let message = ChatServerMessage::MessageDelta {
        data: Delta {
            id: id.to_owned(),
            delta: words,
            done,
        },
        timestamp: now(app.clock.utc()),
    };
    let news = News::passing(&message, Some(ChatExtra::Delta));
    app.chat.hub.tell(room, news).await;
}

async fn say(
    app: &App,
    room: &Arc<Room>,
    (name, words, id): (&str, &str, &str),
) -> Result<(), String> {
    let sender = Sender {
        id: format!("agent:{name}"),
        name: Some(name.to_owned()),
        ..Sender::default()
    };
    let saying = Saying {
        chat: &room.id,
        sender: &sender,
        role: ChatRole::Agent,
        content: words,
        client_id: Some(id),
    };
    let kept = app.chat.keeper.keep(saying, &app.clock, app.seed()).await;
    let posted = kept.map_err(|Unwilling(why)| why)?;
    let key = format!("m:{}", posted.id);
    let message = ChatServerMessage::Message {
        data: posted,
        timestamp: now(app.clock.utc()),
    };
    app.chat.hub.tell(room, News::kept(&message, key)).await;
    Ok(())
}

fn now(at: DateTime<Utc>) -> String {
    iso(at)
}
