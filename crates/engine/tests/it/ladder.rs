//! The ordering rules of spec/realtime §1.11 as a check over a log of server events.
//! Run at the end of every conversation test and over every simulated call.
//! Never looks at times: order only.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::world::World;

/// Panics with the offending event when the log breaks a rule.
pub(crate) fn check(world: &World) {
    let mut rules = Rules::default();
    for (position, (at, event)) in world.log.iter().enumerate() {
        let event = serde_json::to_value(event).expect("events serialise");
        if let Err(why) = rules.next(&event) {
            let tail: Vec<_> = world.log[position.saturating_sub(12)..=position]
                .iter()
                .map(|(at, e)| format!("{at:>6} {}", e.type_name()))
                .collect();
            panic!("at {at} ms: {why}\n{event}\n{}", tail.join("\n"));
        }
    }
}

#[derive(Default)]
struct Rules {
    started: bool,
    items: Vec<String>,
    deleted: HashSet<String>,
    done_items: HashSet<String>,
    responses: HashMap<String, Running>,
    finished: HashSet<String>,
    speech: Option<String>,
}

#[derive(Default)]
struct Running {
    open_items: HashSet<String>,
    open_parts: HashSet<String>,
    text: HashMap<String, String>,
    in_conversation: bool,
}

impl Rules {
    fn next(&mut self, event: &Value) -> Result<(), String> {
        let kind = event["type"].as_str().unwrap_or_default();
        if !std::mem::replace(&mut self.started, true) && kind != "session.created" {
            return Err("the first event is session.created".to_owned());
        }
        if let Some(id) = event["response_id"].as_str() {
            if self.finished.contains(id) {
                return Err("an event of a finished response".to_owned());
            }
            if !self.responses.contains_key(id) {
                return Err("an event of an unknown response".to_owned());
            }
        }
        match kind {
            "conversation.item.added" => self.added(event),
            "conversation.item.done" => {
                let id = event["item"]["id"].as_str().unwrap_or_default();
                let fresh = self.items.iter().any(|i| i == id) && self.done_items.insert(id.into());
                fresh
                    .then_some(())
                    .ok_or_else(|| "done without added, or twice".to_owned())
            }
            "conversation.item.deleted" => {
                let id = event["item_id"].as_str().unwrap_or_default();
                self.items.retain(|item| item != id);
                self.deleted.insert(id.to_owned());
                Ok(())
            }
            "input_audio_buffer.speech_started" => {
                self.speech = event["item_id"].as_str().map(str::to_owned);
                Ok(())
            }
            // switching turn detection off and on again forgets the speech in between
            "input_audio_buffer.cleared" | "session.updated" => {
                self.speech = None;
                Ok(())
            }
            "input_audio_buffer.committed" => self.committed(event),
            _ if kind.starts_with("response.") => self.response(kind, event),
            _ => Ok(()),
        }
    }

    fn added(&mut self, event: &Value) -> Result<(), String> {
        let id = event["item"]["id"].as_str().unwrap_or_default().to_owned();
        if self.items.contains(&id) {
            return Err("an item was added twice".to_owned());
        }
        let at = match event["previous_item_id"].as_str() {
            None => 0,
            Some(previous) => {
                let found = self.items.iter().position(|item| item == previous);
                found.ok_or_else(|| format!("previous item {previous} is unknown"))? + 1
            }
        };
        self.items.insert(at, id);
        Ok(())
    }

    fn committed(&mut self, event: &Value) -> Result<(), String> {
        let id = event["item_id"].as_str().unwrap_or_default();
        if event["previous_item_id"].as_str() != self.items.last().map(String::as_str) {
            return Err("a committed item follows the last one".to_owned());
        }
        match self.speech.take() {
            Some(spoken) if spoken != id => {
                Err("committed another item than was spoken".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn response(&mut self, kind: &str, event: &Value) -> Result<(), String> {
        if kind == "response.created" {
            let response = &event["response"];
            let id = response["id"].as_str().unwrap_or_default().to_owned();
            let in_conversation = !response["conversation_id"].is_null();
            if in_conversation && self.responses.values().any(|r| r.in_conversation) {
                return Err("two responses write to the conversation".to_owned());
            }
            self.responses.insert(
                id,
                Running {
                    in_conversation,
                    ..Running::default()
                },
            );
            return Ok(());
        }
        if kind == "response.done" {
            let id = event["response"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let running = self.responses.remove(&id).ok_or("done without created")?;
            self.finished.insert(id);
            if event["response"]["usage"].is_null() {
                return Err("done without usage".to_owned());
            }
            let closed = running.open_items.is_empty() && running.open_parts.is_empty();
            return closed
                .then_some(())
                .ok_or_else(|| "done with something open".to_owned());
        }
        let response = event["response_id"].as_str().unwrap_or_default();
        let running = self.responses.get_mut(response).ok_or("unknown response")?;
        let item = event["item_id"]
            .as_str()
            .or(event["item"]["id"].as_str())
            .unwrap_or_default();
        let must = |ok: bool, why: &str| ok.then_some(()).ok_or_else(|| why.to_owned());
        match kind {
            "response.output_item.added" => {
                must(running.open_items.insert(item.into()), "item twice")
            }
            "response.output_item.done" => {
                let known = self.deleted.contains(item) || self.done_items.contains(item);
                must(
                    !running.in_conversation || known,
                    "conversation.item.done comes first",
                )?;
                must(running.open_items.remove(item), "item done without added")
            }
            "response.content_part.added" => {
                must(running.open_items.contains(item), "part before item")?;
                must(running.open_parts.insert(item.into()), "part twice")
            }
            "response.content_part.done" => must(running.open_parts.remove(item), "part not open"),
            _ if kind.ends_with(".delta") => {
                let text = running
                    .text
                    .entry(format!("{item}{}", kind.trim_end_matches(".delta")));
                text.or_default()
                    .push_str(event["delta"].as_str().unwrap_or_default());
                must(running.open_items.contains(item), "delta of a closed item")
            }
            _ if stem(kind, ".done").is_some() && !kind.contains("output_audio.") => {
                let whole = ["text", "transcript", "arguments"]
                    .iter()
                    .find_map(|k| event[*k].as_str());
                let said = running.text.get(&format!(
                    "{item}{}",
                    stem(kind, ".done").unwrap_or_default()
                ));
                let said = said.map_or("", String::as_str);
                must(whole == Some(said), "deltas do not add up to done")
            }
            _ => Ok(()),
        }
    }
}

/// What an event is about: its type without the ending.
fn stem<'a>(kind: &'a str, ending: &str) -> Option<&'a str> {
    kind.strip_suffix(ending)
}
