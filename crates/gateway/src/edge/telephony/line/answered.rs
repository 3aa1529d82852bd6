//! Who has answered a call of ours: a person, or a machine that is hung up on or left a message.
//! Fed by [`super::act`] with what comes from the other side; the words of the agent never come here.
//! Never speaks into a machine's greeting, and never hangs up on somebody who has answered the agent.

use engine::audio::{Decoder, SampleRate};
use engine::call::beep;
use engine::call::state::{HangupReason, Party};
use engine::call::voicemail::{Detector, Sign, Verdict};
use serde_json::json;
use wire::realtime::client::ClientAction;
use wire::realtime::decode;
use wire::rest::calls::VoicemailPolicy;
use wire::telephony::Format;

use super::sound::carrier_format;
use super::{Line, ending};
use crate::calls::Entry;

/// How long a message may take, in ms.
const MESSAGE_MS: u64 = 90_000;

/// What is done about who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is listened for a machine.
    Listening,
    /// A machine has answered, and its beep is waited for.
    Waiting,
    /// It is done with: somebody converses, or a message is being said.
    Over,
}

/// Listens who has answered.
pub(super) struct Answered {
    detector: Detector,
    ear: beep::Ear,
    /// From the carrier's format to samples at 8 kHz.
    decoder: Decoder,
    samples: Vec<i16>,
    policy: VoicemailPolicy,
    stage: Stage,
    /// The agent has been heard to its end: what is said next answers it.
    agent_heard: bool,
}

impl Answered {
    /// For a call that has just been answered, whose machines are treated so.
    pub(super) fn new(format: Format, policy: VoicemailPolicy) -> Self {
        Self {
            detector: Detector::default(),
            ear: beep::Ear::default(),
            decoder: Decoder::to_rate(carrier_format(format), SampleRate::HZ_8K),
            samples: Vec::new(),
            policy,
            stage: Stage::Listening,
            agent_heard: false,
        }
    }

    /// Sound of the other side's, as the carrier sends it.
    fn hears_beep(&mut self, sound: &[u8]) -> bool {
        self.samples.clear();
        self.decoder.push(sound, &mut self.samples);
        self.ear.hear(&self.samples).is_some()
    }
}

impl Line {
    /// Sound has come from the other side, and lies in the ear's buffer.
    pub(super) fn listen_for_beep(&mut self, now_ms: u64) {
        let Some(answered) = &mut self.answered else {
            return;
        };
        if answered.stage != Stage::Over && answered.hears_beep(self.ear.buffer()) {
            self.on_sign(Sign::Beep, now_ms);
        }
    }

    /// The other side begins to speak.
    pub(super) fn on_their_speech(&mut self, now_ms: u64) {
        let conversing = self.answered.as_ref().is_some_and(|one| one.agent_heard);
        if conversing {
            self.on_sign(Sign::Conversing, now_ms);
            if let Some(answered) = &mut self.answered
                && answered.stage == Stage::Listening
            {
                answered.stage = Stage::Over;
            }
        }
        self.on_sign(Sign::SpeechStarted, now_ms);
    }

    /// The agent has said something, and nobody has broken in.
    pub(super) const fn agent_was_heard(&mut self) {
        if let Some(answered) = &mut self.answered {
            answered.agent_heard = true;
        }
    }

    /// News from the other side.
    pub(super) fn on_sign(&mut self, sign: Sign<'_>, now_ms: u64) {
        let Some(answered) = &mut self.answered else {
            return;
        };
        if answered.stage == Stage::Over {
            return;
        }
        let Some(verdict) = answered.detector.on(sign, now_ms) else {
            return;
        };
        self.book.note(Entry::AnsweredBy(verdict));
        self.note(
            "answered_by",
            json!({ "verdict": verdict.name(), "at_ms": now_ms }),
        );
        let Some(answered) = &mut self.answered else {
            return;
        };
        match (verdict, &answered.policy) {
            (Verdict::Machine | Verdict::MachineEndBeep, VoicemailPolicy::HangUp) => {
                answered.stage = Stage::Over;
                self.leave(None, ending(HangupReason::Voicemail, Party::System));
            }
            (Verdict::Machine | Verdict::MachineEndBeep, _) => {
                answered.stage = Stage::Waiting;
                // it does not listen to what is said into its greeting, and it is not answered
                self.cut_short(now_ms);
                self.listen_only();
            }
            // whoever they are, the agent talks to them; words may say later that it is a machine
            (Verdict::Human | Verdict::Silence | Verdict::Uncertain, _) => {}
        }
    }

    /// From now on what the other side says is heard and starts nothing.
    fn listen_only(&mut self) {
        let turns =
            json!({ "type": "server_vad", "create_response": false, "interrupt_response": false });
        let wanted =
            json!({ "type": "realtime", "audio": { "input": { "turn_detection": turns } } });
        if let Ok(update) = decode::session_update(&wanted, "session") {
            self.hand_on_event(ClientAction::SessionUpdate(Box::new(update)));
        }
    }

    /// Whether the agent is to be silent: a machine has answered, and is not listening yet.
    pub(super) fn holds_its_tongue(&self) -> bool {
        let answered = self.answered.as_ref();
        answered.is_some_and(|one| one.stage == Stage::Waiting)
    }

    /// Says the message once the machine listens.
    pub(super) fn attend_machine(&mut self, now_ms: u64) {
        let Some(answered) = &mut self.answered else {
            return;
        };
        match answered.stage {
            Stage::Over => return,
            Stage::Listening => {
                let due = answered.detector.next_ms().is_some_and(|at| at <= now_ms);
                if due {
                    self.on_sign(Sign::Nothing, now_ms);
                }
                return;
            }
            Stage::Waiting => {}
        }
        let listens = answered.detector.message_ms();
        if listens.is_none_or(|at| at > now_ms) {
            return;
        }
        answered.stage = Stage::Over;
        let VoicemailPolicy::LeaveMessage { message } = &answered.policy else {
            return;
        };
        let words = message.clone();
        self.book.note(Entry::Message);
        let over = ending(HangupReason::Voicemail, Party::System);
        self.leave_within(Some(words), over, MESSAGE_MS);
    }

    /// When the clock alone says more.
    pub(super) fn machine_ms(&self) -> Option<u64> {
        let answered = self.answered.as_ref()?;
        match answered.stage {
            Stage::Over => None,
            Stage::Listening => answered.detector.next_ms(),
            Stage::Waiting => answered.detector.message_ms(),
        }
    }
}
