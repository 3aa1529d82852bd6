//! End-pointing: from speech probabilities per frame to "started", "paused", "resumed", "stopped".
//! Called by the session through [`super::SpeechDetector`], and directly in virtual-time tests.
//! It never reads a clock: time is the number of frames heard.

use super::vad::FRAME_MS;

/// How far below the threshold to start a probability may fall before a frame inside speech counts
/// as silent. Two thresholds keep a voice that trails off from flickering.
///
/// Small, because earshot takes some 60 ms to fall from 0.5 to 0.35 after a voice has ended, which
/// would be added to every answer.
const HYSTERESIS: f32 = 0.1;
/// The lowest effective threshold to start. Near silence makes earshot answer up to 0.32, and the
/// threshold to stay lies [`HYSTERESIS`] lower, so below this a quiet room would hold a turn open.
const LOWEST_START: f32 = 0.5;
/// The highest effective threshold to start: clear speech reaches 0.97 and more.
const HIGHEST_START: f32 = 0.95;
/// Frames in the longest history kept for voting.
const HISTORY: u32 = u64::BITS;

/// When speech counts as begun and as ended. Times in milliseconds are rounded up to 16 ms frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointConfig {
    /// `server_vad.threshold` of the realtime protocol, 0 to 1, default 0.5. Higher asks for
    /// clearer speech. 0.5 is mapped to a probability of 0.5 and 1 to 0.95; values below 0.5 act
    /// as 0.5, because the detector's answer to near silence lies just below.
    pub threshold: f32,
    /// How much voice must be heard to start, within a window half as long again, so that neither a
    /// click starts a turn nor one lost frame hides a word. At most 672 ms.
    pub min_speech_ms: u64,
    /// How much silence ends the speech. May be changed while it is running.
    pub silence_ms: u64,
    /// How much silence announces a pause, for work that can be thrown away. Shorter announces
    /// sooner and more often wrongly: the closure of a "p" or "t" lasts 50 to 100 ms. Default 64.
    pub first_silence_ms: u64,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            min_speech_ms: 64,
            silence_ms: 500,
            first_silence_ms: 48,
        }
    }
}

impl EndpointConfig {
    /// The probability at which a frame counts as voiced before speech has begun.
    pub fn start_probability(&self) -> f32 {
        let threshold = if self.threshold.is_nan() {
            0.5
        } else {
            self.threshold
        };
        let above = ((threshold - 0.5) / 0.5).clamp(0.0, 1.0);
        LOWEST_START + above * (HIGHEST_START - LOWEST_START)
    }

    /// The probability at which a frame counts as voiced inside speech.
    pub fn stay_probability(&self) -> f32 {
        self.start_probability() - HYSTERESIS
    }
}

/// What end-pointing noticed. Every time is in milliseconds of audio since the stream began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VadEvent {
    /// Speech began. Prefix padding is not subtracted.
    SpeechStarted {
        /// The beginning of the first voiced frame.
        at_ms: u64,
    },
    /// The voice paused. Sent once per pause, after [`EndpointConfig::first_silence_ms`].
    FirstSilence {
        /// The end of the last voiced frame.
        at_ms: u64,
    },
    /// A pause that was announced turned out not to be the end.
    SpeechResumed {
        /// The beginning of the voiced frame that ended the pause.
        at_ms: u64,
    },
    /// Speech ended.
    SpeechStopped {
        /// The end of the last voiced frame.
        speech_end_ms: u64,
        /// Where the decision fell, which includes the silence waited for.
        at_ms: u64,
    },
}

/// The state machine: one probability in, at most one event out.
#[derive(Debug, Clone)]
pub struct Endpointer {
    config: EndpointConfig,
    frames: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No speech. `voiced` holds the last frames, newest in bit 0.
    Idle { voiced: u64 },
    /// The last frame was voice.
    Voice,
    /// Inside speech, silent since the frame `since`. `voiced` as above, over the pause alone.
    Pause {
        since: u64,
        announced: bool,
        voiced: u64,
    },
}

impl Endpointer {
    /// A state machine at the start of a stream.
    pub fn new(config: EndpointConfig) -> Self {
        Self {
            config,
            frames: 0,
            state: State::Idle { voiced: 0 },
        }
    }

    /// The settings in force.
    pub fn config(&self) -> EndpointConfig {
        self.config
    }

    /// Changes the settings from the next frame on, without ending what is under way.
    pub fn configure(&mut self, config: EndpointConfig) {
        self.config = config;
    }

    /// Takes the speech probability of the next 16 ms and says what changed.
    pub fn frame(&mut self, probability: f32) -> Option<VadEvent> {
        let frame = self.frames;
        self.frames += 1;
        match self.state {
            State::Idle { voiced } => {
                let hit = probability >= self.config.start_probability();
                self.idle(frame, voiced << 1 | u64::from(hit))
            }
            State::Voice => {
                if probability >= self.config.stay_probability() {
                    return None;
                }
                self.pause(State::Pause {
                    since: frame,
                    announced: false,
                    voiced: 0,
                })
            }
            State::Pause {
                since,
                announced,
                voiced,
            } => {
                let hit = probability >= self.config.stay_probability();
                let voiced = voiced << 1 | u64::from(hit);
                // a pause too short to be announced ends with the first voiced frame; a longer one
                // only with two of three, so that a knock does not restart the silence
                if hit && !announced {
                    self.state = State::Voice;
                    return None;
                }
                if hit && (voiced & 0b110) != 0 {
                    let first = if voiced & 0b100 == 0 {
                        frame - 1
                    } else {
                        frame - 2
                    };
                    self.state = State::Voice;
                    return Some(VadEvent::SpeechResumed {
                        at_ms: first * FRAME_MS,
                    });
                }
                self.pause(State::Pause {
                    since,
                    announced,
                    voiced,
                })
            }
        }
    }

    fn idle(&mut self, frame: u64, voiced: u64) -> Option<VadEvent> {
        let needed = frames_in(self.config.min_speech_ms).clamp(1, u64::from(HISTORY) * 2 / 3);
        let window = needed + needed / 2;
        let recent = voiced & (u64::MAX >> (u64::from(HISTORY) - window));
        if recent & 1 == 1 && u64::from(recent.count_ones()) >= needed {
            self.state = State::Voice;
            let age = u64::from(recent.ilog2());
            return Some(VadEvent::SpeechStarted {
                at_ms: (frame - age) * FRAME_MS,
            });
        }
        self.state = State::Idle { voiced };
        None
    }

    /// Enters or continues a pause that includes the current frame.
    fn pause(&mut self, state: State) -> Option<VadEvent> {
        self.state = state;
        let State::Pause {
            since,
            announced,
            voiced,
        } = state
        else {
            return None;
        };
        let silent = self.frames - since;
        if silent >= frames_in(self.config.silence_ms).max(1) {
            return self.stop();
        }
        if !announced && silent >= frames_in(self.config.first_silence_ms) {
            self.state = State::Pause {
                since,
                announced: true,
                voiced,
            };
            return Some(VadEvent::FirstSilence {
                at_ms: since * FRAME_MS,
            });
        }
        None
    }

    /// Whether speech is under way, pauses included.
    pub fn is_speaking(&self) -> bool {
        !matches!(self.state, State::Idle { .. })
    }

    /// How long the present pause inside speech has lasted; 0 in voice and outside speech.
    pub fn silence_ms(&self) -> u64 {
        match self.state {
            State::Pause { since, .. } => (self.frames - since) * FRAME_MS,
            State::Idle { .. } | State::Voice => 0,
        }
    }

    /// How much audio has been heard.
    pub fn position_ms(&self) -> u64 {
        self.frames * FRAME_MS
    }

    /// Ends the speech here, because something else than silence decided so: the turn model, or a
    /// commit by the client. Nothing when there is no speech.
    pub fn stop(&mut self) -> Option<VadEvent> {
        let at = self.frames;
        let end = match self.state {
            State::Idle { .. } => return None,
            State::Voice => at,
            State::Pause { since, .. } => since,
        };
        self.reset_speech();
        Some(VadEvent::SpeechStopped {
            speech_end_ms: end * FRAME_MS,
            at_ms: at * FRAME_MS,
        })
    }

    /// Forgets speech without an event and keeps counting time: the audio was cleared.
    pub fn reset_speech(&mut self) {
        self.state = State::Idle { voiced: 0 };
    }
}

/// Milliseconds in frames, rounded up.
const fn frames_in(ms: u64) -> u64 {
    ms.div_ceil(FRAME_MS)
}
