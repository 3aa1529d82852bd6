//! From what somebody wrote about an agent to what a session is made of.
//! Called when an agent is written, so that mistakes are told to whoever makes them, and when a session begins.
//! Never connects to anything.

mod functions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::ask::{ServerTool, ToolRunner};
use functions::{check_targets, client_function};
use providers::tools::{
    Arguments, HttpTool, HttpToolConfig, McpConfig, McpServer, Method, Outbound, Reason, Runnable,
};
use providers::{Catalog, Pipeline};
use serde_json::{Value, json};
use wire::realtime::session::Tool;
use wire::realtime::{SessionUpdate, decode};
use wire::rest::agents::{AgentSpec, AgentTool, HIDDEN, HttpMethod};

/// Limits of times, in ms.
const HTTP_LIMIT_MS: u64 = 10_000;
const MCP_LIMIT_MS: u64 = 30_000;
const MAX_LIMIT_MS: u64 = 120_000;
/// The budget of an advice (spec/telephony §5).
const REASON_MS: u64 = 2_000;
/// Silence before a phrase fills it: in front of an advice (spec/telephony §5), and of anything else.
const REASON_FILLER_MS: u64 = 600;
const FILLER_MS: u64 = 1_000;
const MAX_FILLER_MS: u64 = 60_000;
/// Said where an agent has no phrase of its own.
const FILLER: &str = "One moment, please.";
/// Tools of one agent.
const MAX_TOOLS: usize = 64;
/// Characters of the texts that an agent is made of.
const MAX_TEXT: usize = 100_000;
/// Characters of the names in it.
const MAX_NAME: usize = 64;

/// What is wrong with an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The field, for example `tools[2].url`.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

/// What a session needs to be an agent's.
#[derive(Clone)]
pub struct Built {
    /// Its settings.
    pub settings: SessionUpdate,
    /// ISO-639-1 hint for its ears.
    pub language: Option<String>,
    /// Said first.
    pub greeting: Option<String>,
    /// The question set that it asks.
    pub survey: Option<String>,
    /// Who hears, thinks and speaks for it.
    pub pipeline: Pipeline,
    /// Longest conversation, in s.
    pub max_duration_s: Option<u64>,
    /// Functions that the server runs and that are known by now.
    pub tools: Vec<ServerTool>,
    /// How they are run, by their names.
    pub runnables: HashMap<String, Runnable>,
    /// Servers whose functions become known once they are asked.
    pub servers: Vec<Arc<McpServer>>,
}

/// Whether an agent can be this.
pub(super) fn check(
    spec: &AgentSpec,
    catalog: Option<&Catalog>,
    outbound: &Outbound,
) -> Result<(), Problem> {
    // before anything is done for each of them
    if spec.tools.len() > MAX_TOOLS {
        let message = format!("an agent may have {MAX_TOOLS} tools");
        return Err(Problem::new("tools", message));
    }
    settings(spec)?;
    check_names(spec)?;
    if let Some(place) = spec.hidden_place() {
        let message = format!(
            "'{HIDDEN}' stands for a secret that is kept, and there is none to keep here, or the address leads to another server now; send the secret itself"
        );
        return Err(Problem::new(place, message));
    }
    if spec.limits.max_duration_s == Some(0) {
        return Err(Problem::new(
            "limits.max_duration_s",
            "expected at least 1 s",
        ));
    }
    let texts = [&spec.instructions, &spec.greeting];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.len() > MAX_TEXT)
    {
        let message = format!("instructions and greeting may have {MAX_TEXT} bytes each");
        return Err(Problem::new("instructions", message));
    }
    known_pipeline("pipeline", spec.pipeline.as_deref(), catalog)?;
    known_voice(spec, catalog)?;
    let mut building = Building::new(outbound);
    for (at, tool) in spec.tools.iter().enumerate() {
        if let AgentTool::Reason { pipeline, .. } = tool {
            known_pipeline(
                &format!("tools[{at}].pipeline"),
                pipeline.as_deref(),
                catalog,
            )?;
        }
        building.add(at, tool, None)?;
    }
    Ok(())
}

fn check_names(spec: &AgentSpec) -> Result<(), Problem> {
    let (voice, language, survey) = (&spec.voice, &spec.language, &spec.survey);
    for (place, name) in [("voice", voice), ("language", language), ("survey", survey)] {
        let fits = |name: &String| !name.trim().is_empty() && name.chars().count() <= MAX_NAME;
        if name.as_ref().is_some_and(|name| !fits(name)) {
            let message = format!("expected 1 to {MAX_NAME} characters");
            return Err(Problem::new(place, message));
        }
    }
    Ok(())
}

fn known_voice(spec: &AgentSpec, catalog: Option<&Catalog>) -> Result<(), Problem> {
    let (Some(voice), Some(catalog)) = (&spec.voice, catalog) else {
        return Ok(());
    };
    match chosen(catalog, spec.pipeline.as_deref()).voice_names() {
        Some(known) if !known.contains(voice) => {
            let message = format!(
                "there is no voice '{voice}'; there are {}",
                known.join(", ")
            );
            Err(Problem::new("voice", message))
        }
        _ => Ok(()),
    }
}

/// The pipeline of this name, or the default one.
fn chosen(catalog: &Catalog, name: Option<&str>) -> Pipeline {
    let named = name.and_then(|name| catalog.pipeline(name));
    named.unwrap_or_else(|| catalog.default_pipeline())
}

fn known_pipeline(
    place: &str,
    name: Option<&str>,
    catalog: Option<&Catalog>,
) -> Result<(), Problem> {
    let (Some(name), Some(catalog)) = (name, catalog) else {
        return Ok(());
    };
    if catalog.pipeline(name).is_some() {
        return Ok(());
    }
    let names = catalog.names().join(", ");
    let message = format!("there is no pipeline '{name}'; there are {names}");
    Err(Problem::new(place, message))
}

pub(super) fn build(
    spec: &AgentSpec,
    catalog: &Catalog,
    outbound: &Outbound,
) -> Result<Built, Problem> {
    known_pipeline("pipeline", spec.pipeline.as_deref(), Some(catalog))?;
    let mut building = Building::new(outbound);
    for (at, tool) in spec.tools.iter().enumerate() {
        building.add(at, tool, Some((catalog, spec.pipeline.as_deref())))?;
    }
    Ok(Built {
        settings: settings(spec)?,
        language: spec.language.clone(),
        greeting: spec
            .greeting
            .clone()
            .filter(|words| !words.trim().is_empty()),
        survey: spec.survey.clone(),
        pipeline: chosen(catalog, spec.pipeline.as_deref()),
        max_duration_s: spec.limits.max_duration_s,
        tools: building.tools,
        runnables: building.runnables,
        servers: building.servers,
    })
}

/// The agent's part of a session's settings, checked like a client's.
fn settings(spec: &AgentSpec) -> Result<SessionUpdate, Problem> {
    let mut input = json!({});
    match &spec.turn_detection {
        None => {}
        Some(Value::String(none)) if none == "none" => input["turn_detection"] = Value::Null,
        Some(wanted) => input["turn_detection"] = wanted.clone(),
    }
    let mut session = json!({ "type": "realtime", "audio": { "input": input } });
    if let Some(instructions) = &spec.instructions {
        session["instructions"] = json!(instructions);
    }
    if let Some(voice) = &spec.voice {
        session["audio"]["output"] = json!({ "voice": voice });
    }
    if let Some(limit) = spec.limits.max_output_tokens {
        session["max_output_tokens"] = json!(limit);
    }
    let functions: Vec<Tool> = spec.tools.iter().filter_map(client_function).collect();
    if !functions.is_empty() {
        session["tools"] = serde_json::to_value(functions).unwrap_or_default();
    }
    decode::session_update(&session, "").map_err(|refused| {
        let place = refused.error.param.clone().unwrap_or_default();
        let place = place.trim_start_matches('.');
        let place = place
            .strip_prefix("audio.input.")
            .or_else(|| place.strip_prefix("audio.output."))
            .unwrap_or(place);
        Problem::new(place, refused.error.message)
    })
}

/// Tools on their way.
struct Building<'a> {
    outbound: &'a Outbound,
    tools: Vec<ServerTool>,
    runnables: HashMap<String, Runnable>,
    servers: Vec<Arc<McpServer>>,
    names: Vec<String>,
}

impl<'a> Building<'a> {
    fn new(outbound: &'a Outbound) -> Self {
        Self {
            outbound,
            tools: Vec::new(),
            runnables: HashMap::new(),
            servers: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Adds a tool; `reasons_with` is where a stronger model is found, once there is a catalog.
    fn add(
        &mut self,
        at: usize,
        tool: &AgentTool,
        reasons_with: Option<(&Catalog, Option<&str>)>,
    ) -> Result<(), Problem> {
        let place = |field: &str| format!("tools[{at}].{field}");
        let name = tool.name().to_owned();
        if self.names.contains(&name) {
            let message = format!("there is another tool '{name}'");
            return Err(Problem::new(place("name"), message));
        }
        match tool {
            AgentTool::TransferCall { targets } => check_targets(targets, &place)?,
            // checked with the settings
            AgentTool::Function { .. } | AgentTool::PauseRecording {} | AgentTool::SendDtmf {} => {}
            AgentTool::Http { .. } => self.add_http(tool, &place)?,
            AgentTool::Mcp { .. } => self.add_mcp(tool, &place)?,
            AgentTool::EndCall {} => self.tools.push(end_call()),
            AgentTool::Reason {
                pipeline,
                budget_ms,
                filler,
            } => {
                let budget = limit(*budget_ms, REASON_MS, &place("budget_ms"))?;
                self.tools.push(reason(filler.as_deref()));
                if let Some((catalog, own)) = reasons_with {
                    let named = pipeline.as_deref().or(own);
                    let reason = Reason::new(chosen(catalog, named).llm, budget);
                    self.runnables
                        .insert("reason".to_owned(), Runnable::Reason(Arc::new(reason)));
                }
            }
        }
        self.names.push(name);
        Ok(())
    }

    fn add_http(
        &mut self,
        tool: &AgentTool,
        place: &dyn Fn(&str) -> String,
    ) -> Result<(), Problem> {
        let AgentTool::Http {
            name,
            description,
            parameters,
            url,
            method,
            headers,
            secret,
            timeout_ms,
            filler,
            filler_after_ms,
        } = tool
        else {
            return Ok(());
        };
        check_function(name, parameters.as_ref(), place)?;
        let config = HttpToolConfig {
            url: url.clone(),
            method: match method {
                HttpMethod::Get => Method::Get,
                HttpMethod::Post => Method::Post,
                HttpMethod::Put => Method::Put,
                HttpMethod::Patch => Method::Patch,
                HttpMethod::Delete => Method::Delete,
            },
            headers: revealed(headers),
            secret: secret.as_ref().map(|secret| secret.0.clone().into()),
            limit: limit(*timeout_ms, HTTP_LIMIT_MS, &place("timeout_ms"))?,
            parameters: parameters.clone(),
        };
        let filler_after_ms = filler_after_ms.unwrap_or(FILLER_MS);
        if filler_after_ms > MAX_FILLER_MS {
            let message = format!("expected at most {MAX_FILLER_MS} ms");
            return Err(Problem::new(place("filler_after_ms"), message));
        }
        let http = HttpTool::new(config, self.outbound.clone()).map_err(|error| {
            let text = error.to_string();
            let field = text.split(':').next().unwrap_or("url").to_owned();
            Problem::new(place(&field), text)
        })?;
        self.tools.push(ServerTool {
            name: name.clone(),
            description: description.clone(),
            parameters: parameters.clone(),
            runner: ToolRunner::Detached,
            filler: phrase(filler.as_deref()),
            filler_after_ms,
        });
        self.runnables
            .insert(name.clone(), Runnable::Http(Arc::new(http)));
        Ok(())
    }

    fn add_mcp(&mut self, tool: &AgentTool, place: &dyn Fn(&str) -> String) -> Result<(), Problem> {
        let AgentTool::Mcp {
            server_label,
            server_url,
            authorization,
            headers,
            allowed_tools,
            timeout_ms,
            filler,
        } = tool
        else {
            return Ok(());
        };
        let mut headers = revealed(headers);
        let authorization = authorization.as_ref().map(|secret| secret.0.clone());
        headers.extend(authorization.map(|value| ("authorization".to_owned(), value)));
        let config = McpConfig {
            label: server_label.clone(),
            url: server_url.clone(),
            headers,
            allowed: allowed_tools.clone(),
            limit: limit(*timeout_ms, MCP_LIMIT_MS, &place("timeout_ms"))?,
            filler: phrase(filler.as_deref()),
            filler_after_ms: FILLER_MS,
        };
        let server = McpServer::new(config, self.outbound.clone()).map_err(|error| {
            let text = error.to_string();
            let field = text.split(':').next().unwrap_or("server_url").to_owned();
            Problem::new(place(&field), text)
        })?;
        self.servers.push(Arc::new(server));
        Ok(())
    }
}

fn check_function(
    name: &str,
    parameters: Option<&Value>,
    place: &dyn Fn(&str) -> String,
) -> Result<(), Problem> {
    let tool = json!({ "type": "realtime", "tools": [{ "type": "function", "name": name }] });
    if let Err(refused) = decode::session_update(&tool, "") {
        return Err(Problem::new(place("name"), refused.error.message));
    }
    Arguments::new(parameters)
        .map(drop)
        .map_err(|error| Problem::new(place("parameters"), error.to_string()))
}

fn limit(wanted: Option<u64>, default: u64, place: &str) -> Result<Duration, Problem> {
    let ms = wanted.unwrap_or(default);
    if (1..=MAX_LIMIT_MS).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    let message = format!("expected 1 to {MAX_LIMIT_MS} ms");
    Err(Problem::new(place, message))
}

/// The phrase that fills a silence: the agent's, the server's, or none where the agent's is empty.
fn phrase(own: Option<&str>) -> Option<String> {
    let phrase = own.unwrap_or(FILLER);
    (!phrase.trim().is_empty()).then(|| phrase.to_owned())
}

fn revealed(
    headers: &std::collections::BTreeMap<String, wire::rest::agents::SecretText>,
) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.0.clone()))
        .collect()
}

fn end_call() -> ServerTool {
    ServerTool {
        name: "end_call".to_owned(),
        description: Some("End the conversation, once everything is said.".to_owned()),
        parameters: Some(json!({ "type": "object", "properties": {
            "farewell": { "type": "string", "description": "Said before the line goes, unless you have said it." } } })),
        runner: ToolRunner::EndCall,
        filler: None,
        filler_after_ms: 0,
    }
}

fn reason(filler: Option<&str>) -> ServerTool {
    ServerTool {
        name: "reason".to_owned(),
        description: Some(
            "Ask a more capable adviser what to say or do next, when you are not sure.".to_owned(),
        ),
        parameters: Some(
            json!({ "type": "object", "required": ["question"], "properties": {
            "current_situation": { "type": "string" },
            "question": { "type": "string" } } }),
        ),
        runner: ToolRunner::Attended,
        filler: phrase(filler),
        filler_after_ms: REASON_FILLER_MS,
    }
}
