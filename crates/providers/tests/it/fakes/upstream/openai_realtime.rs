//! OpenAI Realtime, as its documentation describes it: `GET /v1/realtime?model=…`, GA events.
//! Refuses whatever breaks the contract, in the vendor's words, and remembers the conversation.
//! Speaks and hears as the folder's `mod.rs` says; truncated speech is forgotten word by word.

use std::collections::VecDeque;

use axum::{
    http::{HeaderMap, Uri},
    response::Response,
};
use engine::audio::b64;
use serde_json::{Value, json};

use super::{
    Answer, Dialect, End, KEY, Line, Upstream, WORD_MS, header_of,
    openai_ladder::{self, read_item},
    refusal, words,
};

/// What every answer costs.
pub(crate) fn usage() -> Value {
    json!({
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
            "cached_tokens_details": { "text_tokens": 60, "audio_tokens": 4, "image_tokens": 0 },
        },
        "output_token_details": { "text_tokens": 30, "audio_tokens": 91 },
    })
}

pub(crate) async fn start() -> Upstream {
    Upstream::start(Dialect {
        base: "/v1",
        admit,
        talk: |line| Box::pin(Server::new(line).serve()),
    })
    .await
}

fn admit(uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if header_of(headers, "authorization") != Some(&format!("Bearer {KEY}")) {
        return Err(Box::new(refusal(401, "invalid_api_key")));
    }
    match uri.path() {
        "/v1/models" => Ok(()),
        "/v1/realtime" if uri.query().is_some_and(|query| query.starts_with("model=")) => Ok(()),
        _ => Err(Box::new(refusal(404, "not_found"))),
    }
}

/// What is still to be said of an answer.
struct Playing {
    id: String,
    item: Option<String>,
    apart: bool,
    queue: VecDeque<Value>,
    answer: Answer,
    response: Value,
    said: String,
}

struct Server {
    line: Line,
    buffer: Vec<u8>,
    items: usize,
    playing: Vec<Playing>,
}

impl Server {
    fn new(line: Line) -> Self {
        Self {
            line,
            buffer: Vec::new(),
            items: 0,
            playing: Vec::new(),
        }
    }

    async fn serve(mut self) {
        let session = json!({ "type": "realtime", "object": "realtime.session", "audio": {
            "input": { "format": { "type": "audio/pcm", "rate": 24000 } },
            "output": { "format": { "type": "audio/pcm", "rate": 24000 }, "voice": "alloy" } } });
        self.line.settings(|settings| *settings = session.clone());
        self.say("session.created", json!({ "session": session }))
            .await;
        loop {
            let plays = self.playing.iter().any(|playing| !playing.queue.is_empty());
            tokio::select! {
                biased;
                heard = self.line.hear() => match heard {
                    Some(event) => self.obey(&event).await,
                    None => return,
                },
                () = tokio::task::yield_now(), if plays => {
                    match self.play().await {
                        End::Break => return,
                        End::Expire => {
                            let message = "Your session hit the maximum duration of 60 minutes.";
                            self.refuse("session_expired", message, &Value::Null).await;
                            return self.line.close(1001, message).await;
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    async fn say(&mut self, kind: &str, mut event: Value) {
        event["type"] = json!(kind);
        event["event_id"] = json!("event_x");
        self.line.say(&event).await;
    }

    async fn refuse(&mut self, code: &str, message: &str, event: &Value) {
        let error = json!({ "type": "invalid_request_error", "code": code, "message": message,
            "param": null, "event_id": event["event_id"] });
        self.say("error", json!({ "error": error })).await;
    }

    /// A refusal that no client of ours should ever get.
    async fn offended(&mut self, code: &str, message: &str, event: &Value) {
        self.line.world.offend(format!("{code}: {message}"));
        self.refuse(code, message, event).await;
    }

    /// Bytes per ms and the silence of a side's format.
    fn sound(&self, side: &str) -> (usize, u8) {
        let kind = self
            .line
            .settings(|settings| settings["audio"][side]["format"]["type"].clone());
        match kind.as_str() {
            Some("audio/pcmu") => (8, 0xff),
            Some("audio/pcma") => (8, 0xd5),
            _ => (48, 0),
        }
    }

    fn new_id(&mut self) -> String {
        self.items += 1;
        format!("item_{}", self.items)
    }

    async fn obey(&mut self, event: &Value) {
        match event["type"].as_str().unwrap_or_default() {
            "session.update" => self.update(event).await,
            "input_audio_buffer.append" => {
                let mut audio = Vec::new();
                match event["audio"]
                    .as_str()
                    .map(|text| b64::decode(text, &mut audio))
                {
                    Some(Ok(())) if !audio.is_empty() => {
                        self.line
                            .world
                            .with(|state| state.heard.extend_from_slice(&audio));
                        self.buffer.extend(audio);
                    }
                    _ => self.offended("invalid_value", "audio", event).await,
                }
            }
            "input_audio_buffer.clear" => {
                self.buffer.clear();
                self.say("input_audio_buffer.cleared", json!({})).await;
            }
            "input_audio_buffer.commit" => self.commit(event).await,
            "conversation.item.create" => self.create(event).await,
            "conversation.item.truncate" => self.truncate(event).await,
            "conversation.item.delete" => {
                let id = event["item_id"].as_str().unwrap_or_default().to_owned();
                self.line
                    .conversation(|said| said.retain(|said| said.id != id));
                self.say("conversation.item.deleted", json!({ "item_id": id }))
                    .await;
            }
            "response.create" => self.respond(event).await,
            "response.cancel" => {
                let id = event["response_id"].as_str().unwrap_or_default();
                if let Some(place) = self.playing.iter().position(|playing| playing.id == id) {
                    self.cancel(place).await;
                } else {
                    let message = "Cancellation failed: no active response found";
                    self.refuse("response_cancel_not_active", message, event)
                        .await;
                }
            }
            kind => self.offended("invalid_value", kind, event).await,
        }
    }

    async fn update(&mut self, event: &Value) {
        let new = &event["session"];
        if new["type"] != "realtime" {
            return self
                .offended("missing_required_parameter", "session.type", event)
                .await;
        }
        for side in ["input", "output"] {
            let format = &new["audio"][side]["format"];
            let known = match format["type"].as_str() {
                Some("audio/pcm") => format["rate"] == 24000,
                Some("audio/pcmu" | "audio/pcma") => true,
                _ => format.is_null(),
            };
            if !known {
                return self.offended("invalid_value", "format", event).await;
            }
        }
        let speed = &new["audio"]["output"]["speed"];
        if speed
            .as_f64()
            .is_some_and(|speed| !(0.25..=1.5).contains(&speed))
        {
            return self.offended("invalid_value", "speed", event).await;
        }
        let spoke = self.line.conversation(|said| {
            said.iter()
                .any(|said| said.who == "assistant" && !said.id.is_empty())
        });
        if spoke && new["audio"]["output"]["voice"].is_string() {
            let message = "Cannot update a conversation's voice if assistant audio is present.";
            return self.offended("cannot_update_voice", message, event).await;
        }
        self.line.settings(|settings| merge(settings, new));
        let session = self.line.settings(|settings| settings.clone());
        self.say("session.updated", json!({ "session": session }))
            .await;
    }

    async fn commit(&mut self, event: &Value) {
        let audio = std::mem::take(&mut self.buffer);
        if audio.len() < 100 * self.sound("input").0 {
            let message = "Error committing input audio buffer: buffer too small.";
            return self
                .offended("input_audio_buffer_commit_empty", message, event)
                .await;
        }
        let (id, words) = (self.new_id(), words(&audio));
        self.line.remember(id.clone(), "user", &words);
        self.say("input_audio_buffer.committed", json!({ "item_id": id }))
            .await;
        if words.contains("mumble") {
            let error = json!({ "code": "transcription_failed", "message": "unclear" });
            let failed = json!({ "item_id": id, "content_index": 0, "error": error });
            let kind = "conversation.item.input_audio_transcription.failed";
            return self.say(kind, failed).await;
        }
        let transcript = json!({ "item_id": id, "content_index": 0, "transcript": words,
            "usage": { "type": "duration", "seconds": 1 } });
        let kind = "conversation.item.input_audio_transcription.completed";
        self.say(kind, transcript).await;
    }

    async fn create(&mut self, event: &Value) {
        let item = &event["item"];
        let Some((who, words)) = read_item(item) else {
            return self
                .offended("invalid_value", &item.to_string(), event)
                .await;
        };
        let call = item["call_id"].as_str().unwrap_or_default().to_owned();
        let known = who != "output"
            || self.line.conversation(|said| {
                said.iter()
                    .any(|said| said.who == "call" && said.id == call)
            });
        if !known {
            return self
                .offended("invalid_value", "no such call_id", event)
                .await;
        }
        // what was not spoken here has no audio to be cut
        self.line.remember(call, who, &words);
        self.say("conversation.item.done", json!({ "item": item }))
            .await;
    }

    async fn truncate(&mut self, event: &Value) {
        let id = event["item_id"].as_str().unwrap_or_default().to_owned();
        let spoken = self.line.conversation(|said| {
            let mut said = said.iter();
            said.find(|said| said.id == id && said.who == "assistant")
                .map(|said| said.words.clone())
        });
        let Some(spoken) = spoken else {
            let message = format!("the item with id '{id}' does not exist.");
            return self
                .offended("item_truncate_invalid_item_id", &message, event)
                .await;
        };
        let end_ms = event["audio_end_ms"].as_u64().unwrap_or(u64::MAX) as usize;
        let spoken: Vec<&str> = spoken.split_whitespace().collect();
        if end_ms > spoken.len() * WORD_MS || event["content_index"] != 0 {
            return self
                .offended("invalid_value", "Audio content is already shorter", event)
                .await;
        }
        let kept = spoken[..end_ms / WORD_MS].join(" ");
        self.line.conversation(|said| {
            for said in said.iter_mut().filter(|said| said.id == id) {
                said.words.clone_from(&kept);
            }
        });
        self.say("conversation.item.truncated", json!({ "item_id": id }))
            .await;
    }

    async fn respond(&mut self, event: &Value) {
        let wanted = &event["response"];
        let apart = wanted["conversation"] == "none";
        if !apart && let Some(active) = self.playing.iter().find(|playing| !playing.apart) {
            let message = format!(
                "Conversation already has an active response in progress: {}",
                active.id
            );
            let code = "conversation_already_has_active_response";
            return self.offended(code, &message, event).await;
        }
        let modality = wanted["output_modalities"][0].clone();
        if modality != "audio" && modality != "text" {
            return self
                .offended("invalid_value", "output_modalities", event)
                .await;
        }
        let answer = if apart {
            let read = wanted["input"].as_array().cloned().unwrap_or_default();
            let read: Option<Vec<_>> = read.iter().map(read_item).collect();
            let Some(read) = read else {
                return self.offended("invalid_value", "input", event).await;
            };
            assert!(!read.is_empty(), "nothing to read");
            super::answer("apart from that")
        } else {
            self.line.scripted()
        };
        let number = self.new_id();
        let id = format!("resp_{number}");
        let response = json!({ "id": id, "object": "realtime.response", "status": "in_progress",
            "status_details": null, "output": [], "metadata": wanted["metadata"], "usage": null,
            "output_modalities": [modality] });
        self.say("response.created", json!({ "response": response }))
            .await;
        let sound = (modality != "text").then(|| self.sound("output"));
        let item = self.new_id();
        let queue = openai_ladder::events(&id, &item, &answer, sound);
        self.playing.push(Playing {
            id,
            item: None,
            apart,
            queue,
            answer,
            response,
            said: String::new(),
        });
    }

    /// Says the next thing of the first answer that has more to say.
    async fn play(&mut self) -> End {
        let mut under_way = self.playing.iter_mut().enumerate();
        let Some((place, playing)) = under_way.find(|(_, playing)| !playing.queue.is_empty())
        else {
            return End::Complete;
        };
        let event = playing.queue.pop_front().unwrap();
        let item = &event["item"];
        match event["type"].as_str().unwrap_or_default() {
            "end" => {
                let end = playing.answer.end;
                match end {
                    End::Garbage => self.line.say_raw("<html>502 Bad Gateway</html>").await,
                    End::Silence | End::Break | End::Expire => {}
                    End::Complete => self.finish(place, "completed", Value::Null).await,
                    End::Length => {
                        let details =
                            json!({ "type": "incomplete", "reason": "max_output_tokens" });
                        self.finish(place, "incomplete", details).await;
                    }
                    End::Fail => {
                        let error = json!({ "type": "server_error", "code": "server_error" });
                        let details = json!({ "type": "failed", "error": error });
                        self.finish(place, "failed", details).await;
                    }
                }
                return end;
            }
            "response.output_item.added" if !playing.apart => {
                let id = item["id"].as_str().unwrap_or_default().to_owned();
                if item["type"] == "function_call" {
                    let name = item["name"].as_str().unwrap_or_default().to_owned();
                    self.line.remember(id, "call", &name);
                } else {
                    playing.item = Some(id.clone());
                    self.line.remember(id, "assistant", "");
                }
            }
            "response.output_text.delta" | "response.output_audio_transcript.delta" => {
                playing
                    .said
                    .push_str(event["delta"].as_str().unwrap_or_default());
                if let Some(id) = &playing.item {
                    let words = playing.said.trim().to_owned();
                    self.line.conversation(|said| {
                        for said in said.iter_mut().filter(|said| said.id == *id) {
                            said.words.clone_from(&words);
                        }
                    });
                }
            }
            _ => {}
        }
        self.line.say(&event).await;
        End::Complete
    }

    async fn finish(&mut self, place: usize, status: &str, details: Value) {
        let playing = self.playing.remove(place);
        let mut response = playing.response;
        response["status"] = json!(status);
        response["status_details"] = details;
        response["usage"] = usage();
        self.say("response.done", json!({ "response": response }))
            .await;
    }

    /// A little of it is still on its way.
    async fn cancel(&mut self, place: usize) {
        let late = self.playing[place].queue.pop_front();
        if let Some(late) = late.filter(|late| late["type"] != "end") {
            self.line.say(&late).await;
        }
        let details = json!({ "type": "cancelled", "reason": "client_cancelled" });
        self.finish(place, "cancelled", details).await;
    }
}

fn merge(settings: &mut Value, new: &Value) {
    for (key, value) in new.as_object().into_iter().flatten() {
        if ["audio", "input", "output"].contains(&key.as_str()) {
            merge(&mut settings[key], value);
        } else {
            settings[key] = value.clone();
        }
    }
}
