//! A call in virtual time: a session, pretended providers with latencies, and a log of all it said.
//! Used by every conversation test here; the clock moves only when a test says so.
//! Never sleeps, never reads a clock.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use engine::ask::{
    DuplexCommand, DuplexItem, DuplexOptions, Finish, LlmRequest, LlmUsage, ToolCall, ToolOutcome,
};
use engine::session::settings::{Template, defaults};
use engine::session::{
    Detector, Input, LlmNews, Mark, Output, Past, Policy, Session, SttNews, TtsNews,
};
use serde_json::json;
use wire::realtime::client::ClientAction;
use wire::realtime::session::Tool;
use wire::realtime::{ClientEvent, ErrorBody, ServerEvent, SessionKind, decode};

/// Latencies of the pretended providers, in ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) stt: u64,
    pub(crate) first_token: u64,
    pub(crate) token: u64,
    pub(crate) tts: u64,
}

/// What the pretended language model answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Say(&'static str),
    Call(&'static str, &'static str),
    CallBoth,
    SayThenCall(&'static str),
    Fail,
    FailMidway(&'static str),
    Endless,
    Cut(&'static str),
    CutCall(&'static str, &'static str),
}

pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) now: u64,
    pub(crate) log: Vec<(u64, ServerEvent)>,
    pub(crate) marks: Vec<(u64, Mark)>,
    /// Voice and rate that were prepared for last; none where nothing is to be spoken.
    pub(crate) prepared: Option<(String, u32)>,
    pub(crate) asked: Vec<LlmRequest>,
    pub(crate) spoken: Vec<String>,
    /// Every time that a speech-to-speech model was to join: how it is to behave, and what was said.
    pub(crate) joined: Vec<(DuplexOptions, Vec<DuplexItem>)>,
    /// What it was told.
    pub(crate) told: Vec<DuplexCommand>,
    /// Replies that have begun to be spoken.
    pub(crate) speaking: Vec<u64>,
    /// Functions of the server that are running.
    pub(crate) running: Vec<(u64, ToolCall)>,
    /// MCP servers whose functions are wanted.
    pub(crate) servers: Vec<Tool>,
    pub(crate) closed: Option<(u16, String)>,
    pub(crate) transcripts: VecDeque<Result<&'static str, ()>>,
    pub(crate) end_of_turn: Option<f32>,
    pub(crate) answers: VecDeque<Answer>,
    pub(crate) latency: Latency,
    due: BTreeMap<(u64, u64), Input>,
    sequence: u64,
    /// Utterances being transcribed: transcript, and when the current pause will be.
    hearing: HashMap<u64, (Result<&'static str, ()>, Option<u64>)>,
    live_llm: HashSet<u64>,
    live_tts: HashSet<u64>,
    phase: f32,
}

pub(crate) fn policy() -> Policy {
    Policy {
        detector: Detector::Energy(0.05),
        ..Policy::default()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(SessionKind::Realtime, policy())
    }

    pub(crate) fn with(kind: SessionKind, policy: Policy) -> Self {
        Self::going_on(kind, policy, None)
    }

    /// A session that goes on from `past`, where there is one.
    pub(crate) fn going_on(kind: SessionKind, policy: Policy, past: Option<Past>) -> Self {
        let seed = if past.is_some() { 43 } else { 42 };
        let template = Template {
            id: "sess_test".to_owned(),
            kind,
            model: "test".to_owned(),
            instructions: "Be brief.".to_owned(),
            voice: "alloy".to_owned(),
            expires_at: 0,
        };
        let mut world = Self {
            session: Session::new(defaults(template), policy, seed),
            now: 0,
            log: Vec::new(),
            marks: Vec::new(),
            prepared: None,
            asked: Vec::new(),
            spoken: Vec::new(),
            joined: Vec::new(),
            told: Vec::new(),
            speaking: Vec::new(),
            running: Vec::new(),
            servers: Vec::new(),
            closed: None,
            transcripts: VecDeque::new(),
            end_of_turn: None,
            answers: VecDeque::new(),
            latency: Latency {
                stt: 60,
                first_token: 80,
                token: 10,
                tts: 70,
            },
            due: BTreeMap::new(),
            sequence: 0,
            hearing: HashMap::new(),
            live_llm: HashSet::new(),
            live_tts: HashSet::new(),
            phase: 0.0,
        };
        if let Some(past) = past {
            world.session.recall(past);
        }
        let mut outputs = Vec::new();
        world.session.start(&mut outputs);
        world.take(outputs);
        world
    }

    /// The client has gone.
    pub(crate) fn part(&mut self) {
        let mut outputs = Vec::new();
        self.session.part(self.now, &mut outputs);
        self.take(outputs);
    }

    /// Sends a client event as JSON.
    pub(crate) fn client(&mut self, event: serde_json::Value) {
        let event = decode::client_event(&event.to_string()).expect("a valid client event");
        self.input(Input::Client(Box::new(event)));
    }

    /// Changes the session.
    pub(crate) fn update(&mut self, mut session: serde_json::Value) {
        session["type"] = json!("realtime");
        self.client(json!({"type": "session.update", "session": session}));
    }

    /// The function of the server that has run longest returns this.
    pub(crate) fn returns(&mut self, output: &str) {
        let (run, _) = self.running.remove(0);
        let outcome = ToolOutcome::Returned(output.to_owned());
        self.input(Input::Tool(run, outcome));
    }

    /// Sends an action that JSON would only blur.
    pub(crate) fn action(&mut self, action: ClientAction) {
        self.input(Input::Client(Box::new(ClientEvent {
            event_id: Some("evt".to_owned()),
            action,
        })));
    }

    pub(crate) fn input(&mut self, input: Input) {
        if let Input::Tts(id, TtsNews::Failed(_)) = &input {
            self.live_tts.remove(id);
        }
        let mut outputs = Vec::new();
        self.session.on(input, self.now, &mut outputs);
        self.take(outputs);
    }

    /// The caller speaks for `ms` in real time.
    pub(crate) fn speak(&mut self, ms: u64) {
        self.audio(ms, 9000.0);
    }

    /// The caller is silent for `ms` in real time, audio still flowing.
    pub(crate) fn silence(&mut self, ms: u64) {
        self.audio(ms, 0.0);
    }

    fn audio(&mut self, ms: u64, amplitude: f32) {
        for _ in 0..ms / 20 {
            let frame = self.tone(20, amplitude);
            self.input(Input::Audio(frame));
            self.pass(20);
        }
    }

    /// A stretch of tone as 24 kHz PCM bytes.
    pub(crate) fn tone(&mut self, ms: u64, amplitude: f32) -> Bytes {
        let mut bytes = Vec::new();
        for _ in 0..ms * 24 {
            self.phase += 440.0 * std::f32::consts::TAU / 24_000.0;
            bytes.extend(((self.phase.sin() * amplitude) as i16).to_le_bytes());
        }
        bytes.into()
    }

    /// Time passes without audio; everything that falls due happens in order.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let next_news = self.due.first_key_value().map(|((at, _), _)| *at);
            let next_tick = self.session.next_deadline();
            let next = [next_news, next_tick]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end);
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            if next_news == Some(at) {
                let Some((_, input)) = self.due.pop_first() else {
                    break;
                };
                if self.alive(&input) {
                    self.input(input);
                }
            } else {
                let before = self.session.next_deadline();
                self.input(Input::Tick);
                assert_ne!(
                    before,
                    self.session.next_deadline(),
                    "a tick must move the deadline"
                );
            }
        }
        self.now = end;
    }

    /// Lets everything that is under way finish.
    pub(crate) fn settle(&mut self) {
        while let Some(((at, _), _)) = self.due.first_key_value() {
            let ms = at.saturating_sub(self.now);
            self.pass(ms);
        }
    }

    fn alive(&self, input: &Input) -> bool {
        match input {
            Input::Stt(id, _) => self.hearing.contains_key(id),
            Input::Llm(id, _) => self.live_llm.contains(id),
            Input::Tts(id, _) => self.live_tts.contains(id),
            _ => true,
        }
    }

    fn later(&mut self, after_ms: u64, input: Input) {
        self.sequence += 1;
        self.due.insert((self.now + after_ms, self.sequence), input);
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(event) => self.log.push((self.now, event)),
                Output::Mark(mark) => self.marks.push((self.now, mark)),
                Output::Prepare(_, speak) => {
                    self.prepared = speak.map(|speak| (speak.voice, speak.preferred_rate_hz));
                }
                Output::OpenStt(id, _) => {
                    let text = self.transcripts.pop_front().unwrap_or(Ok("hello there."));
                    self.hearing.insert(id, (text, None));
                }
                Output::SttPause(id) => self.transcribe_pause(id),
                Output::SttResume(id) => {
                    if let Some(heard) = self.hearing.get_mut(&id) {
                        heard.1 = None;
                    }
                    self.due
                        .retain(|_, input| !matches!(input, Input::Stt(of, _) if *of == id));
                }
                Output::SttEnd(id) => self.transcribe_end(id),
                Output::DropStt(id) => {
                    self.hearing.remove(&id);
                }
                Output::AskLlm(id, request) => self.answer(id, *request),
                Output::DropLlm(id) => {
                    self.live_llm.remove(&id);
                }
                Output::OpenTts(id, _) => {
                    self.speaking.push(id);
                    self.live_tts.insert(id);
                }
                Output::Speak { reply, index, text } => self.synthesise(reply, index, text),
                Output::DropTts(id) => {
                    assert!(self.live_tts.remove(&id), "only an open stream is dropped");
                }
                Output::Close { code, reason } => self.closed = Some((code, reason)),
                Output::RunTool(run, call) => self.running.push((run, *call)),
                Output::DropTool(run) => self.running.retain(|(id, _)| *id != run),
                Output::ListTools(servers) => self.servers = servers,
                Output::OpenDuplex(options, history) => self.joined.push((*options, history)),
                Output::Duplex(command) => self.told.push(command),
                Output::SttAudio(..) | Output::WarmLlm(_) | Output::EndTts(_) => {}
            }
        }
    }

    fn transcribe_pause(&mut self, id: u64) {
        let Some((Ok(text), _)) = self.hearing.get(&id).copied() else {
            return;
        };
        self.later(
            self.latency.stt,
            Input::Stt(id, SttNews::Partial(text.to_owned())),
        );
        if let Some(p) = self.end_of_turn {
            self.later(self.latency.stt, Input::Stt(id, SttNews::EndOfTurn(p)));
        }
        self.hearing
            .insert(id, (Ok(text), Some(self.now + self.latency.stt)));
    }

    fn transcribe_end(&mut self, id: u64) {
        let Some((text, known)) = self.hearing.get(&id).copied() else {
            return;
        };
        let news = match text {
            Ok(text) => SttNews::Final {
                text: text.to_owned(),
                audio_ms: 1000,
                logprobs: Vec::new(),
            },
            Err(()) => SttNews::Failed(ErrorBody::server("provider_unavailable", "no ears").into()),
        };
        self.later(
            known.map_or(self.latency.stt, |at| at.saturating_sub(self.now).max(1)),
            Input::Stt(id, news),
        );
    }

    fn answer(&mut self, id: u64, request: LlmRequest) {
        self.live_llm.insert(id);
        self.asked.push(request);
        let answer = self
            .answers
            .pop_front()
            .unwrap_or(Answer::Say("Yes, I can. It is done."));
        let mut news = Vec::new();
        let (text, finish) = match answer {
            Answer::Say(text) | Answer::FailMidway(text) | Answer::SayThenCall(text) => {
                (text, Finish::Stop)
            }
            Answer::Cut(text) => (text, Finish::Length),
            Answer::CutCall(..) => ("", Finish::Length),
            Answer::Endless => (ENDLESS, Finish::Stop),
            _ => ("", Finish::Stop),
        };
        news.extend(
            text.split_inclusive(' ')
                .map(|word| LlmNews::Text(word.to_owned())),
        );
        let calls: &[(&str, &str)] = match answer {
            Answer::Call(name, json) | Answer::CutCall(name, json) => &[(name, json)],
            Answer::SayThenCall(_) => &[("look_up", "{\"q\":1}")],
            Answer::CallBoth => &[("first", "{}"), ("second", "{\"b\":2}")],
            _ => &[],
        };
        for (name, json) in calls {
            news.push(LlmNews::ToolCall {
                call_id: String::new(),
                name: (*name).to_owned(),
            });
            let (left, right) = json.split_at(json.len() / 2);
            news.extend([left, right].map(|part| LlmNews::ToolArguments(part.to_owned())));
        }
        news.push(match answer {
            Answer::Fail | Answer::FailMidway(_) => {
                LlmNews::Failed(ErrorBody::server("provider_unavailable", "no thoughts").into())
            }
            _ => LlmNews::Done {
                finish,
                usage: LlmUsage {
                    input_tokens: 20,
                    cached_tokens: 5,
                    output_tokens: 8,
                },
            },
        });
        for (at, one) in news.into_iter().enumerate() {
            let after = self.latency.first_token + self.latency.token * at as u64;
            self.later(after, Input::Llm(id, one));
        }
    }

    fn synthesise(&mut self, reply: u64, index: u32, text: String) {
        assert!(
            self.live_tts.contains(&reply),
            "pieces go to an open stream"
        );
        let slices = text.len() * 60 / 100 + 1;
        self.spoken.push(text);
        for slice in 0..slices {
            let samples: Arc<[i16]> = vec![1000; 2400].into();
            let news = TtsNews::Audio {
                index,
                rate_hz: 24_000,
                samples,
            };
            self.later(self.latency.tts + slice as u64, Input::Tts(reply, news));
        }
        let done = self.latency.tts + slices as u64;
        self.later(done, Input::Tts(reply, TtsNews::PieceDone(index)));
    }

    /// Types of all events so far, or since `from`.
    pub(crate) fn types(&self, from: usize) -> Vec<&'static str> {
        let mut types: Vec<_> = self.log[from..]
            .iter()
            .map(|(_, e)| e.type_name())
            .collect();
        types.dedup();
        types
    }

    /// When the first event of this type came.
    pub(crate) fn time_of(&self, type_name: &str) -> Option<u64> {
        self.log
            .iter()
            .find(|(_, e)| e.type_name() == type_name)
            .map(|(at, _)| *at)
    }

    pub(crate) fn count(&self, type_name: &str) -> usize {
        self.log
            .iter()
            .filter(|(_, e)| e.type_name() == type_name)
            .count()
    }

    pub(crate) fn last(&self, type_name: &str) -> serde_json::Value {
        let found = self
            .log
            .iter()
            .rev()
            .find(|(_, e)| e.type_name() == type_name);
        serde_json::to_value(&found.unwrap_or_else(|| panic!("no {type_name}")).1).unwrap()
    }

    pub(crate) fn last_error(&self) -> serde_json::Value {
        self.last("error")["error"].clone()
    }
}

const ENDLESS: &str = "One more sentence for you to hear now. Two more sentences for you to hear now. \
    Three more sentences for you to hear now. Four more sentences for you to hear now. \
    Five more sentences for you to hear now. Six more sentences for you to hear now.";
