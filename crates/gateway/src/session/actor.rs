//! The one task that owns a conversation.
//! Started by an edge once it has let a client in; talks to it over two bounded channels.
//! Never holds a lock: inputs come one by one, outputs are carried out in order.

mod leaving;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::session::{Input, Mark, Output, Part, Session};
use providers::Pipeline;
use providers::ports::SttCommand;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wire::realtime::ServerEvent;
use wire::realtime::client::ClientAction;

use self::leaving::{Farewell, LastWord};
use super::record::{Copy, Entry, Record};
use super::toolbox::Toolbox;
use super::wiring::{Parts, Wiring};
use crate::clock::Clock;
use crate::edge::{Budget, Edge, Inbound, Outbound, Receiver, Room, Sender};
use crate::lifecycle::Lifecycle;
use crate::metering::{Account, Attached, Meter};
use crate::observe::{Event, Metrics, Outcome, Stage};
use crate::registry::Owned;

/// A client whose queue stays full for so long is closed.
const SLOW_FOR: Duration = Duration::from_secs(10);
/// Close code for a client that does not read (RFC 6455 §7.4.1: policy violation).
const TOO_SLOW: u16 = 1008;
/// A conversation to run.
pub struct Call {
    /// The engine's side.
    pub session: Box<Session>,
    /// Who listens, thinks and speaks.
    pub pipeline: Pipeline,
    /// Whose it is, for metrics.
    pub tenant: String,
    /// Its place in the books.
    pub account: Account,
    /// Where it is entered among the sessions that others may go on with.
    pub entry: Entry,
    /// Counts what providers and tools do.
    pub meter: Meter,
    /// What the server runs for it.
    pub toolbox: Toolbox,
    /// What it uses of its limits.
    pub counted: Attached,
    /// Its place among the running sessions.
    pub active: Owned,
    /// Time.
    pub clock: Clock,
    /// Numbers.
    pub metrics: Metrics,
    /// Stop signals.
    pub lifecycle: Lifecycle,
}

/// What is left of a conversation.
#[derive(Debug)]
pub struct Left {
    /// How it ended.
    pub outcome: Outcome,
    /// What its client has not been told and would have been.
    pub untold: Vec<ServerEvent>,
    /// By what its client may come back; none when it has come to its end.
    pub(crate) copy: Option<Box<Copy>>,
}

/// Runs a conversation until the client goes, it expires, or the server stops.
///
/// No `async fn`: such a future has room for its arguments and, once more, for what becomes of them.
pub fn run(call: Call, edge: Edge) -> impl Future<Output = Left> + Send + use<> {
    let session_id: Arc<str> = call.session.settings().id.as_str().into();
    call.metrics.emit(&Event::SessionStarted {
        session: &session_id,
        tenant: &call.tenant,
    });
    let let_go = call.active.closing().child_token();
    let parts = Parts {
        pipeline: call.pipeline,
        toolbox: call.toolbox,
        tab: call.counted.tab().clone(),
        meter: call.meter,
        clock: call.clock.clone(),
        lifecycle: call.lifecycle.clone(),
        metrics: call.metrics.clone(),
    };
    let mut wiring = Wiring::new(Arc::clone(&session_id), parts);
    call.counted.tab().listen(wiring.sender());
    let record = call
        .entry
        .record(&call.session, let_go.clone(), wiring.sender());
    wiring.start_tools();
    let mut actor = Actor {
        session: call.session,
        wiring,
        outbound: edge.outbound,
        last_word: LastWord::Unsaid,
        room: edge.room,
        left: edge.left,
        how_left: None,
        lifecycle: call.lifecycle,
        closing: call.active.closing().clone(),
        let_go,
        started: call.clock.now(),
        clock: call.clock,
        metrics: call.metrics,
        account: call.account,
        record,
        session_id,
        speech_end: None,
        missing: Vec::new(),
        append_refused: false,
    };
    let (inbound, place) = (edge.inbound, (call.active, call.counted));
    async move {
        let outcome = actor.live(inbound).await;
        actor.end(outcome);
        // whoever comes back finds its place free
        drop(place);
        Box::pin(actor.leave(outcome)).await
    }
}

struct Actor {
    session: Box<Session>,
    wiring: Wiring,
    outbound: Sender<Outbound>,
    last_word: LastWord,
    /// Room for large events in that queue.
    room: Budget,
    /// Says how the client left, once it has.
    left: oneshot::Receiver<Outcome>,
    /// What that said.
    how_left: Option<Outcome>,
    lifecycle: Lifecycle,
    /// Cancelled once the server stops or the tenant may not come in any more.
    closing: CancellationToken,
    /// Cancelled then, and once the session goes on elsewhere.
    let_go: CancellationToken,
    clock: Clock,
    metrics: Metrics,
    account: Account,
    record: Record,
    session_id: Arc<str>,
    started: Instant,
    /// When the caller stopped speaking, while the reply to that is awaited.
    speech_end: Option<Instant>,
    /// What the conversation does without at present.
    missing: Vec<Part>,
    /// The session had no room for the append that is being heard: its remaining slices are not heard either.
    append_refused: bool,
}

/// Why the loop ended.
struct Ended(Outcome);

/// Why waiting for a client ended without success.
enum Impatience {
    /// It has gone; this way, where that is known.
    Left(Option<Outcome>),
    /// It did not read for too long.
    Slow,
    /// The server does not wait any more.
    Stopped,
}

impl Actor {
    async fn live(&mut self, mut inbound: Receiver<Inbound>) -> Outcome {
        // they are waited for all the time: they are set up once, and not for every frame
        let mut hard = pin!(self.lifecycle.hard().clone().cancelled_owned());
        let mut closing = pin!(self.let_go.clone().cancelled_owned());
        let mut alarm = pin!(sleep(Duration::ZERO));
        let mut alarm_at = None;
        let mut outputs = Vec::new();
        self.session.start(&mut outputs);
        // a tick carries out what the start asks for, and what goes wrong with that
        if let Err(Ended(outcome)) = self.take(Input::Tick, &mut outputs).await {
            return outcome;
        }
        // most sessions say nothing for most of their time
        outputs = Vec::new();
        let mut leaving: Option<Farewell> = None;
        loop {
            let patience = leaving.and_then(Farewell::waits_until);
            if let Some(farewell) = leaving
                && (!self.session.is_replying()
                    || patience.is_some_and(|until| self.clock.now() >= until))
            {
                return self.say_goodbye(farewell);
            }
            let deadline = self.session.next_deadline();
            let deadline = deadline.map(|ms| self.started + Duration::from_millis(ms));
            let deadline = deadline.into_iter().chain(patience).min();
            if deadline.is_some() && deadline != alarm_at {
                alarm_at = deadline;
                let wait = deadline.map(|at| at.saturating_duration_since(self.clock.now()));
                alarm.as_mut().reset(now() + wait.unwrap_or_default());
            }
            let input = tokio::select! {
                biased;
                () = &mut hard => return self.say_goodbye(Farewell::Shutdown),
                () = &mut closing, if leaving.is_none() => {
                    leaving = Some(self.farewell());
                    continue;
                }
                // news first: a reply's audio must not wait behind an append storm
                input = self.wiring.news() => {
                    self.wiring.note(&input);
                    input
                }
                message = inbound.recv() => match message {
                    None => return self.departure(Outcome::ClientClosed),
                    Some(Inbound::MoreAudio(_)) if self.append_refused => continue,
                    Some(Inbound::Audio(bytes) | Inbound::MoreAudio(bytes)) => Input::Audio(bytes),
                    Some(Inbound::Event(event, _room)) => Input::Client(event),
                    Some(Inbound::Say(words)) => Input::Say(words),
                    Some(Inbound::Rejected(error)) => {
                        outputs.push(Output::Send(ServerEvent::Error { error: *error }));
                        // a client that sends nothing else does not stop the session's time
                        Input::Tick
                    }
                },
                () = alarm.as_mut(), if deadline.is_some() => {
                    alarm_at = None;
                    Input::Tick
                }
            };
            if let Err(Ended(outcome)) = self.take(input, &mut outputs).await {
                return outcome;
            }
        }
    }

    /// Time of the session, in ms.
    fn now_ms(&self) -> u64 {
        let lasted = self.clock.now().saturating_duration_since(self.started);
        lasted.as_millis() as u64
    }

    /// Gives the session one input and does what it asks for; `outputs` may hold what comes before.
    async fn take(&mut self, input: Input, outputs: &mut Vec<Output>) -> Result<(), Ended> {
        let now_ms = self.now_ms();
        let is_audio = match &input {
            Input::Audio(_) => true,
            Input::Client(event) => matches!(event.action, ClientAction::AudioAppend(_)),
            _ => false,
        };
        if matches!(input, Input::Tick) && self.record.is_stale() {
            Box::pin(self.record.renew(&self.session)).await;
        }
        self.session.on(input, now_ms, outputs);
        if is_audio {
            self.append_refused = outputs.iter().any(refuses_audio);
        }
        if !outputs.is_empty() {
            // boxed, here and below: nearly all input is sound that asks for nothing
            Box::pin(self.carry_out(outputs)).await?;
        }
        while let Some(failure) = self.wiring.next_failure() {
            self.session.on(failure, now_ms, outputs);
            Box::pin(self.carry_out(outputs)).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, outputs: &mut Vec<Output>) -> Result<(), Ended> {
        for output in outputs.drain(..) {
            match output {
                Output::Send(event) => {
                    if Record::concerns(&event) {
                        // what the client is told has happened survives us; boxed, because few events come here
                        Box::pin(self.record.note(&event, &self.session)).await;
                    }
                    self.tell(Box::new(event)).await?;
                }
                Output::Prepare(stt, speak) => self.wiring.prepare(&stt, speak.as_ref()),
                Output::OpenStt(id, options) => self.wiring.open_stt(id, options),
                Output::SttAudio(id, samples) => self.wiring.stt(id, SttCommand::Audio(samples)),
                Output::SttPause(id) => self.wiring.stt(id, SttCommand::Pause),
                Output::SttResume(id) => self.wiring.stt(id, SttCommand::Resume),
                Output::SttEnd(id) => self.wiring.stt(id, SttCommand::End),
                Output::DropStt(id) => self.wiring.close_stt(id),
                Output::WarmLlm(request) => self.wiring.warm(&request),
                Output::AskLlm(id, request) => self.wiring.ask(id, *request),
                Output::DropLlm(id) => self.wiring.drop_llm(id),
                Output::OpenTts(id, options) => self.wiring.open_tts(id, options),
                Output::Speak { reply, index, text } => self.wiring.speak(reply, index, text),
                Output::EndTts(id) => self.wiring.end_tts(id),
                Output::DropTts(id) => self.wiring.drop_tts(id),
                Output::OpenDuplex(options, history) => self.wiring.open_duplex(*options, history),
                Output::Duplex(command) => self.wiring.tell_duplex(command),
                Output::RunTool(run, call) => self.wiring.run_tool(run, *call),
                Output::DropTool(run) => self.wiring.drop_tool(run),
                Output::ListTools(servers) => self.wiring.list_tools(servers),
                Output::Mark(mark) => self.mark(mark).await?,
                Output::Close { code, reason } => {
                    self.close(code, reason);
                    let ended = if code == leaving::GOING_AWAY {
                        Outcome::Expired
                    } else {
                        Outcome::AgentEnded
                    };
                    return Err(Ended(ended));
                }
            }
        }
        let frames = self.wiring.take_dropped_frames();
        if frames > 0 {
            self.metrics.emit(&Event::AudioDropped {
                session: &self.session_id,
                frames,
            });
        }
        // a burst of outputs must not leave its size behind for the rest of the session
        if outputs.capacity() > 256 {
            *outputs = Vec::new();
        }
        Ok(())
    }

    /// Queues an event for the client, where its weight has room.
    async fn tell(&mut self, event: Box<ServerEvent>) -> Result<(), Ended> {
        let weight = event.weight();
        let room: Room = if let Some(room) = self.room.try_take(weight) {
            room
        } else {
            let room = self.room.clone();
            let taken = async { Ok(room.take(weight).await) };
            Box::pin(self.wait_for_client(taken)).await?
        };
        self.send(Outbound::Event(event, room)).await
    }

    /// Queues something for the client; a client that lets its queue stay full is closed.
    async fn send(&mut self, event: Outbound) -> Result<(), Ended> {
        match self.outbound.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Ended(self.departure(Outcome::ConnectionLost))),
            Err(TrySendError::Full(event)) => {
                let outbound = self.outbound.clone();
                let sent = async {
                    let sent = outbound.send(event).await;
                    sent.map_err(|_| Impatience::Left(None))
                };
                Box::pin(self.wait_for_client(sent)).await
            }
        }
    }

    /// Waits for a client that reads slowly, as long as that is worth while.
    async fn wait_for_client<T>(
        &mut self,
        done: impl Future<Output = Result<T, Impatience>>,
    ) -> Result<T, Ended> {
        let left = &mut self.left;
        let waited = tokio::select! {
            biased;
            () = self.lifecycle.hard().cancelled() => Err(Impatience::Stopped),
            left = left => Err(Impatience::Left(left.ok())),
            done = done => done,
            () = sleep(SLOW_FOR) => Err(Impatience::Slow),
        };
        waited.map_err(|impatience| match impatience {
            Impatience::Left(how) => {
                self.how_left = self.how_left.or(how);
                Ended(self.departure(Outcome::ConnectionLost))
            }
            Impatience::Stopped => Ended(self.say_goodbye(Farewell::Shutdown)),
            Impatience::Slow => {
                self.metrics.emit(&Event::SlowClientClosed {
                    session: &self.session_id,
                });
                let reason = "slow_consumer: events were not read for 10 s".to_owned();
                self.close(TOO_SLOW, reason);
                Ended(Outcome::Unresponsive)
            }
        })
    }

    fn note_missing(&mut self, part: Part, missing: bool) {
        self.missing.retain(|other| *other != part);
        if missing {
            self.missing.push(part);
        }
        self.metrics.emit(&Event::PartMissing {
            session: &self.session_id,
            part,
            missing,
        });
    }

    async fn mark(&mut self, mark: Mark) -> Result<(), Ended> {
        let stage = match mark {
            Mark::TurnDecided { silence_ms } => {
                let end = self
                    .clock
                    .now()
                    .checked_sub(Duration::from_millis(silence_ms));
                self.speech_end = end;
                Stage::TurnDecided
            }
            Mark::Transcript => Stage::Transcript,
            Mark::FirstToken => Stage::FirstToken,
            Mark::FirstAudio => Stage::FirstAudio,
            Mark::ReplyEnded { turn, response, .. } => {
                if let Some(response) = response {
                    self.account.turn_ended(turn, &response);
                }
                self.speech_end = None;
                self.wiring.sweep();
                return Ok(());
            }
            Mark::Missing { part, missing } => {
                self.note_missing(part, missing);
                return Ok(());
            }
            Mark::BargeIn | Mark::SpeculationDropped | Mark::SpeculationUsed => return Ok(()),
        };
        let Some(since) = self.speech_end else {
            return Ok(());
        };
        self.metrics.emit(&Event::TurnStage {
            session: &self.session_id,
            stage,
            after: self.clock.now().saturating_duration_since(since),
        });
        if stage == Stage::FirstAudio {
            self.speech_end = None;
            self.send(Outbound::FirstAudio(since)).await?;
        }
        Ok(())
    }
}

fn refuses_audio(output: &Output) -> bool {
    matches!(output, Output::Send(ServerEvent::Error { error })
        if matches!(error.code.as_deref(), Some("input_audio_buffer_full" | "rate_limit_exceeded" | "quota_exceeded")))
}

/// Now, to the runtime's timers.
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
