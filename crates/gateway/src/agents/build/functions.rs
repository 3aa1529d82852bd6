//! Functions of an agent that whoever holds the line runs: the client's own, and those that only a telephone call has.
//! Called by [`super`].
//! Never lets a model pass callers on to somebody whom the agent does not name.

use std::collections::BTreeMap;

use engine::call::number::E164;
use serde_json::{Value, json};
use wire::realtime::session::Tool;
use wire::rest::agents::AgentTool;

use super::{MAX_NAME, Problem};

/// A function that the client runs: its own, or one that needs the line that the client holds.
pub(super) fn client_function(tool: &AgentTool) -> Option<Tool> {
    let (name, description, parameters) = match tool {
        AgentTool::Function {
            name,
            description,
            parameters,
        } => (name.as_str(), description.clone(), parameters.clone()),
        AgentTool::TransferCall { targets } => (
            "transfer_call",
            Some("Pass the caller on to somebody else, and leave the conversation.".to_owned()),
            Some(transfer_parameters(targets)),
        ),
        AgentTool::PauseRecording {} => (
            "pause_recording",
            Some("Stop recording the call, before somebody says the number of a card, and record again afterwards.".to_owned()),
            Some(json!({ "type": "object", "required": ["paused"], "properties": {
                "paused": { "type": "boolean", "description": "true stops, false records again" } } })),
        ),
        AgentTool::SendDtmf {} => (
            "send_dtmf",
            Some("Press keys of the telephone.".to_owned()),
            Some(
                json!({ "type": "object", "required": ["digits"], "properties": {
                "digits": { "type": "string", "pattern": "^[0-9A-D*#wW]{1,64}$",
                    "description": "Keys in order; w is a pause of half a second." } } }),
            ),
        ),
        AgentTool::Http { .. }
        | AgentTool::Mcp { .. }
        | AgentTool::EndCall {}
        | AgentTool::Reason { .. } => return None,
    };
    Some(Tool::Function {
        name: name.to_owned(),
        description,
        parameters,
    })
}

/// Names that a model can say, and numbers that a carrier can call.
pub(super) fn check_targets(
    targets: &BTreeMap<String, String>,
    place: &dyn Fn(&str) -> String,
) -> Result<(), Problem> {
    for (name, number) in targets {
        let fits = !name.trim().is_empty() && name.chars().count() <= MAX_NAME;
        if !fits || E164::parse(number).is_err() {
            let message = "a target has a name of 1 to 64 characters and a number in international form, such as +14155550100";
            return Err(Problem::new(place("targets"), message));
        }
    }
    Ok(())
}

/// What `transfer_call` is called with.
fn transfer_parameters(targets: &BTreeMap<String, String>) -> Value {
    let mut target = json!({ "type": "string", "description": "Who is to take the caller over." });
    if !targets.is_empty() {
        let names: Vec<&String> = targets.keys().collect();
        target["enum"] = json!(names);
    }
    json!({ "type": "object", "required": ["target"], "properties": {
        "target": target,
        "mode": { "type": "string", "enum": ["cold", "warm"],
            "description": "cold passes the caller on at once; warm calls the other one first and tells them the summary." },
        "summary": { "type": "string", "description": "What whoever answers must know, in two sentences." } } })
}
