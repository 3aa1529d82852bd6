//! Gemini Live, as its documentation describes it: one method over a WebSocket, settings first, activities by hand.
//! Closes with 1007 on whatever breaks the contract, in the vendor's words, and remembers the conversation.
//! Speaks and hears as the folder's `mod.rs` says, at the rate that the client declares.

use std::collections::VecDeque;

use axum::{
    http::{HeaderMap, Uri},
    response::Response,
};
use engine::audio::b64;
use serde_json::{Value, json};

use super::{Answer, Dialect, End, KEY, Line, Manner, Upstream, header_of, refusal, speech, words};

const METHOD: &str =
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";

/// What every turn costs.
fn usage() -> Value {
    json!({
        "promptTokenCount": 132, "cachedContentTokenCount": 64, "responseTokenCount": 111,
        "thoughtsTokenCount": 10, "totalTokenCount": 253,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": 119 }, { "modality": "AUDIO", "tokenCount": 13 }],
        "cacheTokensDetails": [{ "modality": "TEXT", "tokenCount": 60 }, { "modality": "AUDIO", "tokenCount": 4 }],
        "responseTokensDetails": [{ "modality": "TEXT", "tokenCount": 20 }, { "modality": "AUDIO", "tokenCount": 91 }],
    })
}

pub(crate) async fn start() -> Upstream {
    Upstream::start(Dialect {
        base: "/v1beta",
        admit,
        talk: |line| Box::pin(serve(line)),
    })
    .await
}

fn admit(uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    match (uri.path(), header_of(headers, "x-goog-api-key")) {
        (METHOD | "/v1beta/models", Some(KEY)) => Ok(()),
        (METHOD | "/v1beta/models", _) => Err(Box::new(refusal(403, "PERMISSION_DENIED"))),
        _ => Err(Box::new(refusal(404, "NOT_FOUND"))),
    }
}

/// Why a connection ends.
struct Close(u16, &'static str);

const INVALID: &str = "Request contains an invalid argument.";

async fn serve(mut line: Line) {
    let Some(setup) = line.hear().await else {
        return;
    };
    if let Some(Close(code, reason)) = check_setup(&setup) {
        if code == 1007 {
            line.world.offend(format!("setup: {setup}"));
        }
        return line.close(code, reason).await;
    }
    line.settings(|settings| settings.clone_from(&setup["setup"]));
    if line.world.with(|state| state.manner == Manner::Distrustful) {
        return line
            .close(1007, "API key not valid. Please pass a valid API key.")
            .await;
    }
    line.say_in_binary(&json!({ "setupComplete": {} })).await;
    let mut server = Server {
        waits_for_history: setup["setup"]["historyConfig"]["initialHistoryInClientContent"] == true,
        line,
        activity: None,
        playing: None,
        calls: Vec::new(),
        turns: 0,
    };
    match server.converse().await {
        Some(Close(1006, _)) | None => {}
        Some(Close(code, reason)) => server.line.close(code, reason).await,
    }
}

fn check_setup(message: &Value) -> Option<Close> {
    let setup = &message["setup"];
    let known = [
        "model",
        "generationConfig",
        "systemInstruction",
        "tools",
        "realtimeInputConfig",
        "inputAudioTranscription",
        "outputAudioTranscription",
        "contextWindowCompression",
        "historyConfig",
    ];
    let keys = setup.as_object().into_iter().flatten();
    let strange = keys
        .map(|(key, _)| key)
        .any(|key| !known.contains(&key.as_str()));
    let model = setup["model"].as_str().unwrap_or_default();
    if strange
        || !model.starts_with("models/gemini-")
        || setup["generationConfig"]["responseModalities"] != json!(["AUDIO"])
        || setup["realtimeInputConfig"]["automaticActivityDetection"]["disabled"] != true
    {
        return Some(Close(1007, INVALID));
    }
    let missing = model == "models/gemini-missing";
    missing.then_some(Close(
        1008,
        "models/gemini-missing is not found for API version v1beta",
    ))
}

/// What is still to be said of a turn.
struct Playing {
    queue: VecDeque<Value>,
    answer: Answer,
    said: String,
    place: Option<String>,
}

struct Server {
    line: Line,
    waits_for_history: bool,
    /// Audio of the caller's activity under way.
    activity: Option<Vec<u8>>,
    playing: Option<Playing>,
    /// Calls that wait for their output.
    calls: Vec<String>,
    turns: usize,
}

impl Server {
    async fn converse(&mut self) -> Option<Close> {
        loop {
            let plays = self
                .playing
                .as_ref()
                .is_some_and(|playing| !playing.queue.is_empty());
            tokio::select! {
                biased;
                heard = self.line.hear() => {
                    if let Err(close) = self.obey(&heard?).await {
                        return Some(close);
                    }
                }
                () = tokio::task::yield_now(), if plays => match self.play().await {
                    End::Break => return Some(Close(1006, "")),
                    End::Expire => {
                        self.say(&json!({ "goAway": { "timeLeft": "0s" } })).await;
                        return Some(Close(1001, "The session has ended."));
                    }
                    End::Fail => return Some(Close(1011, "Internal error encountered.")),
                    _ => {}
                },
            }
        }
    }

    async fn say(&mut self, message: &Value) {
        self.line.say_in_binary(message).await;
    }

    fn offence(&self, what: &str) -> Close {
        self.line.world.offend(what);
        Close(1007, INVALID)
    }

    async fn obey(&mut self, message: &Value) -> Result<(), Close> {
        let keys: Vec<&String> = message
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .collect();
        if keys.len() != 1 {
            return Err(self.offence("not exactly one field"));
        }
        match keys[0].as_str() {
            "clientContent" => self.content(&message["clientContent"]).await,
            "realtimeInput" if self.waits_for_history => Err(self.offence("history was announced")),
            "realtimeInput" => self.realtime(&message["realtimeInput"]).await,
            "toolResponse" => self.tools(&message["toolResponse"]),
            other => Err(self.offence(other)),
        }
    }

    async fn content(&mut self, content: &Value) -> Result<(), Close> {
        // input while a call is waited for cancels it
        if !self.calls.is_empty() {
            self.interrupt().await;
        }
        for turn in content["turns"].as_array().into_iter().flatten() {
            let who = match turn["role"].as_str() {
                Some("user") => "user",
                Some("model") => "assistant",
                _ => return Err(self.offence("a turn of nobody")),
            };
            let mut said = Vec::new();
            for part in turn["parts"].as_array().into_iter().flatten() {
                let text = part["text"].as_str().map(str::to_owned);
                let sound = || {
                    let mut audio = Vec::new();
                    b64::decode(part["inlineData"]["data"].as_str()?, &mut audio).ok()?;
                    Some(words(&audio))
                };
                let Some(words) = text.or_else(sound) else {
                    return Err(self.offence("a part of nothing"));
                };
                said.push(words);
            }
            if said.is_empty() {
                return Err(self.offence("a turn without a part"));
            }
            let said = said.join(" ");
            // notes are the user's as well, but no turn of the conversation
            let who = if who == "user" && said.starts_with(['(', '<']) {
                "note"
            } else {
                who
            };
            self.line.remember("", who, &said);
        }
        if content["turnComplete"] != true {
            return Ok(());
        }
        if std::mem::take(&mut self.waits_for_history) {
            return Ok(());
        }
        self.interrupt().await;
        self.answer();
        Ok(())
    }

    async fn realtime(&mut self, input: &Value) -> Result<(), Close> {
        if input["activityStart"].is_object() {
            if self.activity.replace(Vec::new()).is_some() {
                return Err(self.offence("the activity had begun"));
            }
            self.interrupt().await;
        } else if input["activityEnd"].is_object() {
            let Some(audio) = self.activity.take() else {
                return Err(self.offence("no activity had begun"));
            };
            let words = words(&audio);
            self.line.remember("", "user", &words);
            for part in words.split_inclusive(' ') {
                let text = json!({ "inputTranscription": { "text": part } });
                self.say(&json!({ "serverContent": text })).await;
            }
            self.interrupt().await;
            self.answer();
        } else {
            let kind = input["audio"]["mimeType"].as_str().unwrap_or_default();
            let mut audio = Vec::new();
            let data = input["audio"]["data"].as_str().unwrap_or_default();
            let rates = ["8000", "16000", "24000"].map(|rate| format!("audio/pcm;rate={rate}"));
            if !rates.contains(&kind.to_owned()) || b64::decode(data, &mut audio).is_err() {
                return Err(self.offence("no audio"));
            }
            let Some(activity) = &mut self.activity else {
                return Err(self.offence("audio outside of an activity"));
            };
            activity.extend_from_slice(&audio);
            self.line.world.with(|state| state.heard.extend(audio));
        }
        Ok(())
    }

    fn tools(&mut self, response: &Value) -> Result<(), Close> {
        let outputs = response["functionResponses"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for output in &outputs {
            let id = output["id"].as_str().unwrap_or_default();
            let Some(place) = self.calls.iter().position(|call| call == id) else {
                return Err(self.offence("the output of no call"));
            };
            self.calls.remove(place);
            self.line
                .remember(id, "output", &output["response"].to_string());
        }
        if outputs.is_empty() || !self.calls.is_empty() {
            return Err(self.offence("not all outputs at once"));
        }
        self.answer();
        Ok(())
    }

    /// Ends the turn under way, if there is one.
    async fn interrupt(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        let waited = !calls.is_empty();
        if waited {
            self.say(&json!({ "toolCallCancellation": { "ids": calls } }))
                .await;
        }
        if self.playing.take().is_some() || waited {
            self.say(&json!({ "serverContent": { "interrupted": true } }))
                .await;
            let end =
                json!({ "serverContent": { "turnComplete": true }, "usageMetadata": usage() });
            self.say(&end).await;
        }
    }

    fn answer(&mut self) {
        let answer = self.line.scripted();
        self.turns += 1;
        let mut queue = VecDeque::new();
        for word in answer.words.split_whitespace() {
            let sound = speech(word, 48, 0);
            // cuts do not respect samples
            for cut in sound.chunks(sound.len() / 2 + 1) {
                let mut data = String::new();
                b64::encode(cut, &mut data);
                let blob = json!({ "mimeType": "audio/pcm;rate=24000", "data": data });
                queue.push_back(json!({ "serverContent": { "modelTurn": { "parts": [{ "inlineData": blob }] } } }));
            }
            let text = json!({ "outputTranscription": { "text": format!("{word} ") } });
            queue.push_back(json!({ "serverContent": text }));
        }
        if let Some((name, arguments)) = answer.call {
            let id = format!("call-{}", self.turns);
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            let call = json!({ "id": id, "name": name, "args": arguments });
            queue.push_back(
                json!({ "toolCall": { "functionCalls": [call] }, "usageMetadata": usage() }),
            );
        }
        queue.push_back(json!({ "end": true }));
        self.playing = Some(Playing {
            queue,
            answer,
            said: String::new(),
            place: None,
        });
    }

    /// Says the next thing of the turn.
    async fn play(&mut self) -> End {
        let Some(playing) = &mut self.playing else {
            return End::Complete;
        };
        let Some(message) = playing.queue.pop_front() else {
            return End::Complete;
        };
        if let Some(word) = message["serverContent"]["outputTranscription"]["text"].as_str() {
            playing.said.push_str(word);
            let said = playing.said.trim().to_owned();
            let id = format!("turn-{}", self.turns);
            if playing.place.replace(id.clone()).is_none() {
                self.line.remember(id.clone(), "assistant", "");
            }
            self.line.conversation(|all| {
                for turn in all.iter_mut().filter(|turn| turn.id == id) {
                    turn.words.clone_from(&said);
                }
            });
        }
        if let Some(call) = message["toolCall"]["functionCalls"][0].as_object() {
            let id = call["id"].as_str().unwrap_or_default().to_owned();
            let name = call["name"].as_str().unwrap_or_default();
            self.line.remember(id.clone(), "call", name);
            self.calls.push(id);
            // the turn goes on behind its output
            self.playing = None;
        } else if message["end"] == true {
            return self.end().await;
        }
        self.say(&message).await;
        End::Complete
    }

    async fn end(&mut self) -> End {
        let end = self
            .playing
            .as_ref()
            .map_or(End::Complete, |playing| playing.answer.end);
        match end {
            End::Complete | End::Length => {
                self.playing = None;
                self.say(&json!({ "serverContent": { "generationComplete": true } }))
                    .await;
                let complete =
                    json!({ "serverContent": { "turnComplete": true }, "usageMetadata": usage() });
                self.say(&complete).await;
            }
            End::Garbage => self.line.say_raw("<html>502 Bad Gateway</html>").await,
            End::Silence | End::Break | End::Expire | End::Fail => {}
        }
        end
    }
}
