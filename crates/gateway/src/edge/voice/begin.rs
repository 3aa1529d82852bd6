//! From a `session_start` to a session that can run: who it is, whether it may come in, and who answers.
//! Called by the lobby.
//! Never leaves a place or a reservation behind when it refuses: everything is given back on drop.

use std::sync::Arc;
use std::time::Duration;

use engine::audio::Format;
use store::live::leases::{Lease, Room};
use store::live::limiter::{Decider, LevelKind};
use wire::realtime::client::{ClientAction, Position};
use wire::realtime::extra::{ExtraEvent, ExtraEvents};
use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::realtime::session::{MaxTokens, TurnDetectionUpdate, Voice};
use wire::realtime::{ClientEvent, SessionKind, SessionUpdate, decode};
use wire::voice::SessionStart;

use super::book::{Book, Heading};
use super::converse::Greeted;
use super::identity::{self, Guest, Kind};
use super::lobby::Visitor;
use super::refusal::Refusal;
use super::renewal::Renewal;
use super::supabase::SupabaseError;
use super::terms::{Terms, of_tenant};
use crate::App;
use crate::auth::chain;
use crate::edge::Inbound;
use crate::http::ApiError;
use crate::metering::Opening;
use crate::observe::Event;
use crate::quota;
use crate::quota::purse::Purse;
use crate::registry::Owned;
use crate::session::{Call, Door, Entry, Prepared, Wish, prepare};

/// How long a session waits for models that are still being loaded.
const MODELS_WITHIN: Duration = Duration::from_secs(20);
/// Longest name of a conversation, in bytes.
const CONVERSATION_BYTES: usize = 128;

/// What a call holds for as long as it runs.
pub(super) struct Places {
    _of_user: Lease,
    _connection: super::desk::Counted,
}

/// A call that can run.
pub(super) struct Begun {
    pub(super) call: Call,
    pub(super) purse: Purse,
    pub(super) book: Book,
    pub(super) renewal: Renewal,
    pub(super) start: SessionStart,
    /// What was said before in this conversation.
    pub(super) history: Vec<Inbound>,
    pub(super) places: Places,
    /// Longest session, in s.
    pub(super) max_s: u64,
}

/// Lets somebody in.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn begin(
    app: &Arc<App>,
    visitor: Visitor,
    mut start: SessionStart,
    greeted: &Greeted,
) -> Result<Begun, Refusal> {
    let token = start.auth_token.take();
    let guest = identity::identify(app, token.as_deref(), &visitor.parts).await?;
    drop(token);
    let Visitor {
        counted,
        waiting,
        parts,
    } = visitor;
    drop(waiting);
    let active = app.sessions.enter();
    let active =
        active.ok_or_else(|| Refusal::unavailable(ApiError::too_many_sessions().message))?;
    let terms = Terms::of(&app.config, &guest.principal.allowance);
    let lease = place(app, &guest, terms.sessions).await?;
    let tier = tier(app, &guest).await?;
    let purse = purse(app, &guest, &terms).await?;
    let active = quota::place(app, &guest.principal, active)
        .await
        .map_err(|error| Refusal::limited(&error.message))?;
    let catalog = app.catalog.wait(MODELS_WITHIN).await;
    let catalog = catalog.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let wish = wish(app, &guest, &start, terms.session_s).map_err(|refused| *refused)?;
    let mut prepared = prepare(app, &catalog, wish)
        .await
        .map_err(|error| Refusal::unusable(error.message))?;
    prepared.session.tell_also(ExtraEvents::of([
        ExtraEvent::SpeechPiece,
        ExtraEvent::TranscriptPartial,
    ]));
    let conversation = start.conversation_id.as_deref();
    is_in(app, &guest, conversation).await?;
    // where a survey stands follows from what was said: an earlier conversation would be taken for answers
    let most = if crate::survey::mind::asks(&prepared.pipeline) {
        0
    } else {
        app.config.voice.history_messages
    };
    let history = history(app, &guest, conversation, most).await?;
    let heading = Heading {
        session_id: greeted.session_id.clone(),
        session: prepared.session.settings().id.clone(),
        user: guest.user.clone(),
        tier,
        conversation: start.conversation_id.clone(),
        opened_at: greeted.opened_at,
        client: client(&parts),
    };
    let book = Book::open(app, &guest.principal, heading, purse.clone());
    let call = call(app, &guest, prepared, (active, &purse));
    Ok(Begun {
        call,
        purse,
        book,
        renewal: Renewal::new(Arc::clone(app), &guest),
        start,
        history,
        places: Places {
            _of_user: lease,
            _connection: counted,
        },
        max_s: terms.session_s,
    })
}

/// A place among the user's sessions of all servers.
async fn place(app: &App, guest: &Guest, places: u64) -> Result<Lease, Refusal> {
    let room = Room {
        kind: LevelKind::User,
        id: format!("voice:{}", of_tenant(&guest.principal, &guest.user)),
        places,
    };
    let rooms = if places == 0 { Vec::new() } else { vec![room] };
    let entry = app.store.live.leases.enter(&rooms).await;
    if entry.decider == Decider::Degraded {
        app.metrics.decided_locally();
    }
    entry.outcome.map_err(|full| {
        app.metrics.emit(&Event::LimitReached {
            level: full.kind.name(),
            measure: "sessions",
            tenant: &guest.principal.tenant,
        });
        Refusal::too_many(full.places)
    })
}

/// The user's tier, if it has voice calls.
async fn tier(app: &App, guest: &Guest) -> Result<String, Refusal> {
    let wanted = &app.config.voice.tiers;
    let mut tier = guest.tier.clone();
    if guest.kind == Kind::Key {
        // whoever has a key of ours runs the app, and has no tier in it
        return Ok(tier.unwrap_or_else(|| guest.principal.allowance.plan.clone()));
    }
    if tier.is_none()
        && !wanted.is_empty()
        && let Some(supabase) = &app.voice.supabase
    {
        tier = supabase.tier(&guest.user).await.map_err(|error| {
            tracing::warn!(%error, "cannot read the tier of a user");
            Refusal::unknowable()
        })?;
    }
    if !wanted.is_empty() && !tier.as_ref().is_some_and(|tier| wanted.contains(tier)) {
        return Err(Refusal::tier(wanted));
    }
    Ok(tier.unwrap_or_else(|| guest.principal.allowance.plan.clone()))
}

/// The budget of the session, if anything is left of the user's day.
async fn purse(app: &App, guest: &Guest, terms: &Terms) -> Result<Purse, Refusal> {
    let mut of_session = terms.purse(&app.config, &guest.principal, &guest.user);
    let open = |terms| Purse::new(terms, app.store.live.limiter.clone(), app.clock.clone());
    let purse = open(of_session.clone());
    let Some(limit) = purse.day_micros() else {
        return Ok(purse);
    };
    let left = purse.left_today().await.unwrap_or(limit);
    // what the limiter has forgotten with its process is in the rows
    let since = app.clock.utc() - chrono::TimeDelta::days(1);
    let rows = app
        .store
        .sql
        .voice_spent(&guest.principal.tenant, &guest.user, since)
        .await;
    let of_rows = rows.unwrap_or_else(|error| {
        tracing::warn!(error = %chain(&error), "cannot read what a user has spent");
        0
    });
    let counted = limit.saturating_sub(left);
    let spent = counted.max(of_rows);
    if spent >= limit {
        let dollars = spent as f64 / 1_000_000.0;
        let sentence = format!("Daily budget limit exceeded: ${dollars:.2}");
        return Err(Refusal::budget(sentence, dollars));
    }
    of_session.forgotten_micros = spent - counted;
    Ok(open(of_session))
}

/// Who is to answer: what the app asks for, where its user may have that.
fn model(
    app: &App,
    guest: &Guest,
    (asked, stored): (Option<&String>, Option<&String>),
) -> Result<String, Box<Refusal>> {
    let voice = &app.config.voice;
    let own = voice.model.as_ref().unwrap_or(&app.config.pipeline.name);
    let Some(asked) = asked else {
        return Ok(stored.unwrap_or(own).clone());
    };
    // whoever has a key of ours runs the app; a user has what the app's configuration offers
    if guest.kind == Kind::Key || asked == own || voice.models.contains(asked) {
        return Ok(asked.clone());
    }
    Err(Box::new(Refusal::unusable(format!(
        "The model '{asked}' is not offered here. Leave model out, or have the operator add it to voice.models."
    ))))
}

/// What is asked of the session.
fn wish<'a>(
    app: &App,
    guest: &'a Guest,
    start: &SessionStart,
    max_s: u64,
) -> Result<Wish<'a>, Box<Refusal>> {
    let voice = &app.config.voice;
    // what was stored with a client secret
    let mut settings = match &guest.principal.stored_session {
        Some(stored) => {
            let read = decode::session_update(stored, "session");
            read.map_err(|refused| Box::new(Refusal::unusable(refused.error.message)))?
        }
        None => SessionUpdate::default(),
    };
    let model = model(app, guest, (start.model.as_ref(), settings.model.as_ref()))?;
    settings.kind = Some(SessionKind::Realtime);
    // this door has formats of its own, and speaks
    settings.input_format = None;
    settings.output_format = None;
    settings.output_modalities = None;
    settings.include = Some(Some(vec![
        "item.input_audio_transcription.logprobs".to_owned(),
    ]));
    let mut transcription = settings.transcription.flatten().unwrap_or_default();
    transcription.language = start.language.clone().or(transcription.language);
    settings.transcription = Some(Some(transcription));
    settings.voice = start.voice.clone().map(Voice::Name).or(settings.voice);
    if crate::agents::named(&model).is_none() {
        // an agent says all of this itself
        settings.instructions = settings.instructions.or_else(|| voice.instructions.clone());
        settings
            .max_output_tokens
            .get_or_insert(MaxTokens::Limit(voice.max_output_tokens));
        settings
            .turn_detection
            .get_or_insert(Some(TurnDetectionUpdate {
                silence_duration_ms: Some(voice.silence_ms),
                ..TurnDetectionUpdate::default()
            }));
    }
    Ok(Wish {
        place: guest.principal.place(),
        kind: SessionKind::Realtime,
        model: Some(model),
        settings,
        going_on: None,
        door: Door {
            max_duration_s: Some(max_s),
            caller_pcm: Some(Format::Pcm16k),
        },
    })
}

/// Refuses a conversation that is another user's in the project that it would be written to.
async fn is_in(app: &App, guest: &Guest, conversation: Option<&str>) -> Result<(), Refusal> {
    let Some(conversation) = conversation else {
        return Ok(());
    };
    if conversation.len() > CONVERSATION_BYTES || conversation.chars().any(char::is_control) {
        return Err(Refusal::unusable("conversationId is not a usable name"));
    }
    let Some(supabase) = &app.voice.supabase else {
        return Ok(());
    };
    // whoever has a key of ours runs the app
    if guest.kind == Kind::Key || !app.config.voice.supabase_mirror {
        return Ok(());
    }
    match supabase.conversation_of(conversation).await {
        Ok(owner) if owner.as_ref().is_none_or(|owner| *owner == guest.user) => Ok(()),
        Ok(_) => Err(Refusal::no_such_conversation()),
        // no name that the project could have: nothing there can be somebody else's
        Err(SupabaseError::Refused(400)) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "cannot ask whose a conversation is");
            Err(Refusal::unavailable(
                "The conversation cannot be read. Try again in a moment.",
            ))
        }
    }
}

/// What was said before, as inputs of the session.
async fn history(
    app: &App,
    guest: &Guest,
    conversation: Option<&str>,
    most: u32,
) -> Result<Vec<Inbound>, Refusal> {
    let Some(conversation) = conversation else {
        return Ok(Vec::new());
    };
    let said = app
        .store
        .sql
        .voice_history(&guest.principal.tenant, &guest.user, conversation, most)
        .await;
    let said = said.map_err(|error| {
        tracing::error!(error = %chain(&error), "cannot read a conversation");
        Refusal::unavailable("The conversation cannot be read. Try again in a moment.")
    })?;
    let said = said.ok_or_else(Refusal::no_such_conversation)?;
    // a model is not given an answer without its question
    let said = said.into_iter().skip_while(|line| line.role != "user");
    let item = |line: store::VoiceLine| {
        let (role, part) = if line.role == "user" {
            (Role::User, ContentPart::InputText { text: line.content })
        } else {
            (
                Role::Assistant,
                ContentPart::OutputText { text: line.content },
            )
        };
        let action = ClientAction::ItemCreate {
            position: Position::End,
            id: None,
            body: ItemBody::Message {
                role,
                content: vec![part],
            },
        };
        let event = ClientEvent {
            event_id: None,
            action,
        };
        Inbound::Event(Box::new(event), None)
    };
    Ok(said.map(item).collect())
}

/// What is known of the app, for the row of the session.
fn client(parts: &axum::http::request::Parts) -> String {
    let text = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.map(|value| value.chars().take(256).collect::<String>())
    };
    let info = serde_json::json!({ "user_agent": text("user-agent"), "origin": text("origin") });
    info.to_string()
}

/// A conversation that is ready to begin, with its place in the books and in the database.
fn call(app: &App, guest: &Guest, prepared: Prepared, held: (Owned, &Purse)) -> Call {
    let (active, purse) = held;
    let principal = &guest.principal;
    let entry = Entry::new(app, principal.place(), &prepared.session);
    let Prepared {
        session,
        pipeline,
        toolbox,
    } = prepared;
    let opening = Opening {
        tenant: principal.tenant.clone(),
        project: principal.project.clone(),
        model: session.settings().model.clone(),
        pipeline: pipeline.name.to_string(),
        started_at: app.clock.unix_s(),
    };
    let tab = app.quotas.open(&app.config, principal, &active);
    tab.pay_from(purse.clone());
    Call {
        counted: app.meter.attach(&session.settings().id, tab),
        account: app.meter.open(&session.settings().id, opening),
        entry,
        session,
        pipeline,
        meter: app.meter.clone(),
        toolbox,
        tenant: principal.tenant.clone(),
        active,
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        lifecycle: app.lifecycle.clone(),
    }
}
