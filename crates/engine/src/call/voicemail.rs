//! Did a person answer, or a machine? From how the other side speaks, from its words, and from what the carrier thinks.
//! Fed by the telephone edge from the answer on; asked before the agent speaks and while it begins to.
//! Never hears the agent: our own sentence with "voicemail" in it says nothing about who answered.
//!
//! Words are the strongest sign, the carrier's verdict the next, and timing the weakest. A person says a few words and
//! waits; a machine says many and gives nobody time to answer. A stronger sign overrules a weaker one that came earlier.

use super::words::{Words, phrase};

#[cfg(test)]
mod tests;

/// What machines say. Compared in whole words, across pieces of a transcript.
pub const PHRASES: [&str; 42] = [
    "leave a message",
    "leave me a message",
    "leave us a message",
    "leave your message",
    "leave your name",
    "leave a voicemail",
    "record your message",
    "record a message",
    "after the tone",
    "after the beep",
    "at the tone",
    "at the beep",
    "voicemail",
    "voice mail",
    "voice mailbox",
    "mailbox is full",
    "answering machine",
    "answering service",
    "automatic voice message system",
    "forwarded to an automated",
    "is not available",
    "are not available",
    "am not available",
    "cant take your call",
    "cannot take your call",
    "unable to take your call",
    "cant come to the phone",
    "cannot come to the phone",
    "cant answer the phone",
    "cant get to the phone",
    "unable to answer",
    "get back to you as soon as",
    "call you back as soon as",
    "youve reached the voice",
    "you have reached the voice",
    "nach dem Signalton",
    "nach dem Ton",
    "nach dem Piep",
    "deje su mensaje",
    "deje un mensaje",
    "après le bip",
    "laissez un message",
];

/// The times by which it is decided, in ms, and a number of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A person's greeting is no longer.
    pub greeting_ms: u64,
    /// After a greeting that short, so much silence is a person who waits.
    pub person_silence_ms: u64,
    /// After a longer one, or before its words are known, so much silence is its end.
    pub machine_silence_ms: u64,
    /// Nobody has said anything for so long.
    pub no_speech_ms: u64,
    /// As many words without giving us time are a machine's.
    pub machine_words: usize,
    /// It must be decided by then.
    pub decide_ms: u64,
    /// A machine that has been silent for so long is listening, beep or not.
    pub listening_ms: u64,
    /// A beep is waited for so long after a machine was recognised.
    pub beep_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            greeting_ms: 2500,
            person_silence_ms: 500,
            machine_silence_ms: 1500,
            no_speech_ms: 10_000,
            machine_words: 9,
            decide_ms: 20_000,
            listening_ms: 2000,
            beep_ms: 20_000,
        }
    }
}

/// What the carrier thinks, which it says when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarrierVerdict {
    /// A person.
    Human,
    /// A machine, or a fax, that is still speaking.
    Machine,
    /// A machine that has finished its greeting, with a beep or without.
    MachineEnded,
    /// It does not know.
    Unknown,
}

impl CarrierVerdict {
    /// The meaning of `AnsweredBy` and of its like; `None` for words that are no verdict.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "human" | "human_residence" | "human_business" => Self::Human,
            "machine" | "machine_start" | "fax" | "fax_detected" => Self::Machine,
            "machine_end_beep"
            | "machine_end_silence"
            | "machine_end_other"
            | "beep_detected"
            | "beep_start" => Self::MachineEnded,
            "unknown" | "not_sure" | "silence" => Self::Unknown,
            _ => return None,
        })
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A person.
    Human,
    /// A machine that is still speaking, or that was not heard to finish.
    Machine,
    /// A machine that listens now.
    MachineEndBeep,
    /// Nobody has said anything.
    Silence,
    /// Somebody has spoken, and it cannot be said who.
    Uncertain,
}

impl Verdict {
    /// As it is stored in `answered_by` and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Machine => "machine",
            Self::MachineEndBeep => "machine_end_beep",
            Self::Silence => "silence",
            Self::Uncertain => "uncertain",
        }
    }

    /// Whether a machine answered.
    pub const fn is_machine(self) -> bool {
        matches!(self, Self::Machine | Self::MachineEndBeep)
    }
}

/// News from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign<'a> {
    /// It has begun to speak.
    SpeechStarted,
    /// It has stopped.
    SpeechStopped,
    /// Words of it; they may come later than the speech, and a word may go on in the next piece.
    Words(&'a str),
    /// A piece of transcript is complete.
    WordsEnded,
    /// A tone has ended; see [`super::beep`].
    Beep,
    /// The carrier has made up its mind.
    Carrier(CarrierVerdict),
    /// It has answered something the agent said: what it says from now on is no greeting.
    Conversing,
    /// Time has passed.
    Nothing,
}

/// How sure a verdict is; a later one is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    Timing,
    Carrier,
    Words,
}

/// Finds out who answered. All times are in ms after the answer.
#[derive(Debug, Clone)]
pub struct Detector {
    patience: Patience,
    phrases: Vec<String>,
    words: Words,
    speaking_since_ms: Option<u64>,
    stopped_ms: Option<u64>,
    /// All speech of the greeting, without the one that goes on.
    speech_ms: u64,
    carrier: Option<CarrierVerdict>,
    ended_by_beep: Option<u64>,
    machine_since_ms: Option<u64>,
    conversing_since_ms: Option<u64>,
    verdict: Option<(Verdict, Evidence)>,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new(Patience::default(), PHRASES)
    }
}

impl Detector {
    /// Begins at the answer.
    pub fn new<'a>(patience: Patience, phrases: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            patience,
            phrases: phrases.into_iter().map(phrase).collect(),
            words: Words::new(),
            speaking_since_ms: None,
            stopped_ms: None,
            speech_ms: 0,
            carrier: None,
            ended_by_beep: None,
            machine_since_ms: None,
            conversing_since_ms: None,
            verdict: None,
        }
    }

    /// Takes a sign and says the verdict when it is new or has changed.
    pub fn on(&mut self, sign: Sign<'_>, now_ms: u64) -> Option<Verdict> {
        match sign {
            Sign::SpeechStarted => self.speaking_since_ms = Some(now_ms),
            Sign::SpeechStopped => {
                if let Some(since_ms) = self.speaking_since_ms.take() {
                    self.speech_ms += now_ms.saturating_sub(since_ms);
                    self.stopped_ms = Some(now_ms);
                }
            }
            Sign::Words(_) | Sign::WordsEnded if self.conversing_since_ms.is_some() => {}
            Sign::Words(words) => self.words.push(words),
            Sign::WordsEnded => self.words.end_word(),
            Sign::Beep => self.ended_by_beep = Some(now_ms),
            Sign::Carrier(verdict) => self.carrier = Some(verdict),
            Sign::Conversing => self.conversing_since_ms = Some(now_ms),
            Sign::Nothing => {}
        }
        self.judge(now_ms)
    }

    /// The verdict so far.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict.map(|(verdict, _)| verdict)
    }

    /// When [`Sign::Nothing`] is to be given next; `None` when time alone changes nothing any more.
    pub fn next_ms(&self) -> Option<u64> {
        if self.verdict.is_some() {
            return None;
        }
        let silences = self.stopped_ms.filter(|_| self.speaking_since_ms.is_none());
        let Some(stopped_ms) = silences else {
            let silent = self.speaking_since_ms.is_none() && self.stopped_ms.is_none();
            return Some(if silent {
                self.patience.no_speech_ms.min(self.patience.decide_ms)
            } else {
                self.patience.decide_ms
            });
        };
        let may_be_person = self.speech_ms <= self.patience.greeting_ms && self.words.count() > 0;
        let pause_ms = if may_be_person {
            self.patience.person_silence_ms
        } else {
            self.patience.machine_silence_ms
        };
        Some((stopped_ms + pause_ms).min(self.patience.decide_ms))
    }

    /// When a message may be begun, if a machine answered: after its beep; without one when it has been silent for a
    /// while; at the latest when the beep has been waited for long enough.
    pub fn message_ms(&self) -> Option<u64> {
        let (verdict, _) = self.verdict?;
        let since_ms = self.machine_since_ms.filter(|_| verdict.is_machine())?;
        let latest_ms = since_ms + self.patience.beep_ms;
        if verdict == Verdict::MachineEndBeep {
            return Some(self.ended_by_beep.unwrap_or(since_ms));
        }
        let silent_since = self.stopped_ms.filter(|_| self.speaking_since_ms.is_none());
        let silent_ms = silent_since.map(|stopped_ms| {
            // the words of a greeting may be known before it is over
            (stopped_ms + self.patience.listening_ms).max(since_ms)
        });
        Some(silent_ms.map_or(latest_ms, |silent_ms| silent_ms.min(latest_ms)))
    }

    fn judge(&mut self, now_ms: u64) -> Option<Verdict> {
        let (next, evidence) = self.opinion(now_ms)?;
        let keep = match self.verdict {
            None => false,
            // a machine that has been heard to finish is the same machine
            Some((Verdict::Machine, _)) if next == Verdict::MachineEndBeep => false,
            Some((Verdict::MachineEndBeep, _)) if next == Verdict::Machine => true,
            Some((before, believed)) => before == next || evidence <= believed,
        };
        if keep {
            return None;
        }
        if next.is_machine() && self.machine_since_ms.is_none() {
            self.machine_since_ms = Some(now_ms);
        }
        self.verdict = Some((next, evidence));
        Some(next)
    }

    fn opinion(&self, now_ms: u64) -> Option<(Verdict, Evidence)> {
        let spoken = self.words.have(&self.phrases);
        let finished = self.ended_by_beep.is_some() && self.is_beep_of_a_machine(spoken)
            || self.carrier == Some(CarrierVerdict::MachineEnded);
        let machine = if finished {
            Verdict::MachineEndBeep
        } else {
            Verdict::Machine
        };
        if spoken {
            return Some((machine, Evidence::Words));
        }
        match self.carrier {
            Some(CarrierVerdict::Human) => return Some((Verdict::Human, Evidence::Carrier)),
            Some(CarrierVerdict::Machine | CarrierVerdict::MachineEnded) => {
                return Some((machine, Evidence::Carrier));
            }
            Some(CarrierVerdict::Unknown) | None => {}
        }
        if finished {
            return Some((machine, Evidence::Carrier));
        }
        self.by_timing(now_ms)
            .map(|verdict| (verdict, Evidence::Timing))
    }

    /// Tones come in the background of people as well.
    fn is_beep_of_a_machine(&self, spoken: bool) -> bool {
        let human = self.verdict() == Some(Verdict::Human);
        spoken || (!human && self.conversing_since_ms.is_none())
    }

    fn by_timing(&self, now_ms: u64) -> Option<Verdict> {
        let Patience {
            greeting_ms,
            person_silence_ms,
            machine_silence_ms,
            ..
        } = self.patience;
        if self.conversing_since_ms.is_some() {
            return Some(Verdict::Human);
        }
        if self.words.count() >= self.patience.machine_words {
            return Some(Verdict::Machine);
        }
        if let (None, Some(stopped_ms)) = (self.speaking_since_ms, self.stopped_ms) {
            let silence_ms = now_ms.saturating_sub(stopped_ms);
            let known = self.words.count() > 0;
            let short = self.speech_ms <= greeting_ms;
            if short && known && silence_ms >= person_silence_ms {
                return Some(Verdict::Human);
            }
            if silence_ms >= machine_silence_ms {
                // long speech of which not a word was understood may be anything
                let person = short || known;
                return Some(if person {
                    Verdict::Human
                } else {
                    Verdict::Uncertain
                });
            }
        } else if self.speaking_since_ms.is_none() && now_ms >= self.patience.no_speech_ms {
            return Some(Verdict::Silence);
        }
        (now_ms >= self.patience.decide_ms).then_some(Verdict::Uncertain)
    }
}
