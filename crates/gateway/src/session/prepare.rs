//! From what a client asks for to a session, and to who listens, thinks, speaks and works in it.
//! Called by every edge before it starts a conversation.
//! Never starts anything: what it makes can be thrown away.

use std::collections::HashMap;
use std::sync::Arc;

use engine::audio::Format;
use engine::session::settings::{self, Locks, Template};
use engine::session::{Policy, Session, Upstream};
use providers::{Catalog, Pipeline};
use store::Place;
use wire::ids::Ids;
use wire::realtime::{ErrorBody, SessionKind, SessionUpdate};

use super::resume::GoingOn;
use super::toolbox::Toolbox;
use crate::App;
use crate::agents::{self, AgentError, Built};
use crate::survey::mind::Mind;

/// Context of a survey, in estimated tokens: all that was said, for where it stands follows from that.
const SURVEY_TOKENS: u32 = 1_000_000;

/// What a client asks for.
#[derive(Debug)]
pub struct Wish<'a> {
    /// Where the agents are that it may ask for.
    pub place: Place<'a>,
    /// Conversation, or transcription only.
    pub kind: SessionKind,
    /// A pipeline, a hosted service's model, or `agent:NAME`.
    pub model: Option<String>,
    /// Settings that count from the beginning, over the agent's.
    pub settings: SessionUpdate,
    /// The session that goes on, where none begins.
    pub(crate) going_on: Option<GoingOn>,
    /// What the door asks for beyond what its clients may.
    pub(crate) door: Door,
}

/// What a door asks for beyond what its clients may.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Door {
    /// Longest session, in s, where it is shorter than others.
    pub(crate) max_duration_s: Option<u64>,
    /// What its callers' PCM is, where a pipeline hears it in stages; 24 kHz when absent.
    pub(crate) caller_pcm: Option<Format>,
}

/// A session that can be started.
pub struct Prepared {
    /// The engine's side.
    pub session: Box<Session>,
    /// Who answers.
    pub pipeline: Pipeline,
    /// What the server runs.
    pub toolbox: Toolbox,
}

/// Makes what `wish` asks for.
///
/// # Errors
/// A typed error for the client, which lists what there is where a name is unknown.
#[expect(
    clippy::too_many_lines,
    reason = "what a session needs is put together once"
)]
pub async fn prepare(app: &App, catalog: &Catalog, wish: Wish<'_>) -> Result<Prepared, ErrorBody> {
    let mut agent = match wish.model.as_deref().and_then(agents::named) {
        None => None,
        Some(name) => {
            let agent = app.agents.find(wish.place, name).await.map_err(refusal)?;
            let built = app.agents.build(&agent, catalog);
            Some(built.map_err(|problem| refusal(problem.into()))?)
        }
    };
    let asks = match &mut agent {
        Some(agent) => asks_survey(app, wish.place.tenant, agent).await?,
        None => false,
    };
    let pipeline = pipeline(catalog, &wish, agent.as_ref())?;
    pipeline
        .usable()
        .map_err(|error| ErrorBody::server(error.code(), error.to_string()))?;
    let seed = app.seed();
    let sessions = &app.config.sessions;
    let mut duration_s = sessions.max_duration_s;
    if let Some(own) = agent.as_ref().and_then(|agent| agent.max_duration_s) {
        duration_s = duration_s.min(own);
    }
    if let Some(of_door) = wish.door.max_duration_s {
        duration_s = duration_s.min(of_door);
    }
    let now = app.clock.unix_s();
    let (id, expires_at) = match &wish.going_on {
        Some(going_on) => {
            duration_s = duration_s.min((going_on.expires_at - now).max(0).unsigned_abs());
            (going_on.id.clone(), going_on.expires_at)
        }
        None => (Ids::seeded(seed).next("sess"), now + duration_s as i64),
    };
    let template = Template {
        id,
        kind: wish.kind,
        model: wish.model.clone().unwrap_or_default(),
        instructions: sessions.instructions.clone(),
        voice: sessions.voice.clone(),
        expires_at,
    };
    let voices = pipeline.voice_names();
    let session = settings_of(template, agent.as_ref(), &wish, voices.as_deref())?;
    let duplex = pipeline.duplex.is_some() && wish.kind == SessionKind::Realtime;
    // a model that hears by itself is given the caller's bytes as they are, and those are of 24 kHz
    let caller_pcm = wish.door.caller_pcm.filter(|_| !duplex);
    let mut policy = Policy {
        max_duration_ms: duration_s * 1000,
        retained_audio_bytes: sessions.retained_audio_bytes,
        max_items: sessions.max_items,
        context_tokens: if asks {
            SURVEY_TOKENS
        } else {
            sessions.context_tokens
        },
        tokens_per_minute: sessions.tokens_per_minute,
        bytes_per_minute: sessions.bytes_per_minute,
        // an answer that was only guessed must not be stored
        speculate: sessions.speculate && !asks,
        apology: sessions.apology.clone(),
        echo: sessions.echo.clone(),
        unheard: sessions.unheard.clone(),
        llm_model: pipeline.llm_model.clone(),
        voices,
        upstream: if duplex {
            Upstream::Duplex
        } else {
            Upstream::Stages
        },
        hears: pipeline.stt.hears(),
        caller_pcm: caller_pcm.unwrap_or_default(),
        ..Policy::default()
    };
    let (mut runnables, mut servers) = (HashMap::new(), Vec::new());
    if let Some(agent) = agent {
        policy.language = agent.language;
        policy.greeting = agent.greeting;
        policy.tools = agent.tools;
        (runnables, servers) = (agent.runnables, agent.servers);
    }
    Ok(Prepared {
        session: Box::new(Session::new(session, policy, seed.rotate_left(64))),
        pipeline,
        toolbox: Toolbox::new(app.agents.outbound().clone(), runnables, servers),
    })
}

/// Puts the agent's survey, if it has one, in the place of its language model; says whether it has.
async fn asks_survey(app: &App, tenant: &str, agent: &mut Built) -> Result<bool, ErrorBody> {
    let Some(id) = &agent.survey else {
        return Ok(false);
    };
    let found = Mind::open(&app.survey, tenant, id).await;
    let found = found.map_err(|error| refusal(AgentError::Store(error)))?;
    let mind = found.ok_or_else(|| {
        let message = format!(
            "The agent asks the survey '{id}', which does not exist. Make it with POST /v1/surveys."
        );
        ErrorBody::invalid("agent_unusable", message)
    })?;
    let own = agent.greeting.take();
    let greeting = own.into_iter().chain([mind.greeting()]);
    agent.greeting = Some(greeting.collect::<Vec<_>>().join(" "));
    agent.pipeline.llm = Arc::new(mind);
    agent.pipeline.duplex = None;
    Ok(true)
}

/// The server's settings, over them the agent's, over them the client's.
fn settings_of(
    template: Template,
    agent: Option<&Built>,
    wish: &Wish<'_>,
    voices: Option<&[String]>,
) -> Result<wire::realtime::Session, ErrorBody> {
    let connected = template.model.clone();
    let agent = agent.filter(|_| wish.kind == SessionKind::Realtime);
    let mut session = match agent {
        Some(agent) => {
            let mut session = settings::effective(template, &agent.settings)?;
            settings::apply(&mut session, &wish.settings, Locks::default())?;
            session
        }
        None => settings::effective(template, &wish.settings)?,
    };
    let agents_own = agent.and_then(|agent| agent.settings.voice.as_ref());
    if let Some(voice) = wish.settings.voice.as_ref().or(agents_own) {
        settings::check_voice(voice, voices, "session.audio.output.voice")?;
    }
    if !connected.is_empty() {
        session.model = connected;
    }
    Ok(session)
}

fn pipeline(
    catalog: &Catalog,
    wish: &Wish<'_>,
    agent: Option<&Built>,
) -> Result<Pipeline, ErrorBody> {
    if let Some(agent) = agent {
        return Ok(agent.pipeline.clone());
    }
    let found = match (&wish.model, wish.kind) {
        (Some(model), SessionKind::Realtime) => catalog.pipeline(model),
        (Some(model), SessionKind::Transcription) => catalog
            .transcription(model)
            .or_else(|| catalog.pipeline(model)),
        (None, SessionKind::Transcription) => Some(catalog.default_pipeline()),
        (None, SessionKind::Realtime) => {
            return Err(ErrorBody::invalid(
                "missing_model",
                "You must provide a model parameter: add ?model=… to the address.",
            ));
        }
    };
    found.ok_or_else(|| {
        let model = wish.model.as_deref().unwrap_or_default();
        let names = catalog.names().join(", ");
        let message = format!(
            "Model '{model}' is not served here. Ask for {names}, for agent:NAME, or for one that GET /v1/models lists."
        );
        ErrorBody::invalid("invalid_model", message)
    })
}

fn refusal(error: AgentError) -> ErrorBody {
    let message = error.sentence();
    match error {
        AgentError::Unknown { .. } => ErrorBody::invalid("agent_not_found", message),
        AgentError::Unreadable(_) => ErrorBody::server("agent_unreadable", message),
        AgentError::Store(error) => {
            tracing::error!(error = %crate::auth::chain(&error), "cannot read an agent");
            ErrorBody::server(
                "internal_error",
                "The agent cannot be read. Try again in a moment.",
            )
        }
        AgentError::Problem(problem) => {
            let message = format!("The agent's {}: {}", problem.place, problem.message);
            ErrorBody::invalid("agent_unusable", message)
        }
        AgentError::Name(_)
        | AgentError::Taken(_)
        | AgentError::TooMany
        | AgentError::Changed(_)
        | AgentError::InFile(_) => ErrorBody::invalid("agent_unusable", message),
    }
}
