//! The models of this machine, shared by all sessions: one queue and its threads per kind of model.
//! `providers` clones a [`LocalModels`] into every session; the gateway reads its queue depths.
//! It never blocks a caller: work is queued and awaited, or refused at once with a typed error.

mod config;
#[cfg(feature = "llama")]
mod generate;
mod pending;
mod queue;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};

pub use config::{Limits, LlmConfig, LocalConfig, Origin, Part};
pub use pending::Pending;
#[cfg(feature = "llama")]
pub(crate) use pending::child;
pub use queue::{Priority, QueueLimits};

use pending::pending;
use queue::{Class, Queue, QueueConfig, Ticket};
use worker::{SttJob, TtsJob, TurnJob, Workers};

use crate::{
    Audio, Cancel, ChatMessage, GenerateRequest, Generation, Kokoro, LocalError, Piper, SmartTurn,
    TranscribeRequest, Transcript, Voice, VoiceModel, Voices, Whisper, runtime::SessionConfig,
};

/// Text to speak.
#[derive(Debug, Clone, Default)]
pub struct SpeakRequest {
    /// Whose reply it is.
    pub origin: Origin,
    /// Place of this piece in its reply. Piece 0 is served before any later piece of anyone: until
    /// it is done the caller hears nothing.
    pub piece: u32,
    /// What to say, at most a sentence or two.
    pub text: String,
    /// Voice name as the client sent it; see [`Voices::resolve`].
    pub voice: String,
    /// 1.0 is natural, 0.25 to 4.0.
    pub speed: f32,
    /// Stops the synthesis.
    pub cancel: Cancel,
}

/// Jobs waiting per queue, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepths {
    /// Speech to text.
    pub stt: usize,
    /// End of turn.
    pub turn: usize,
    /// Text to speech, both models.
    pub tts: usize,
    /// Language model.
    pub llm: usize,
}

/// The loaded models. Clones share them; the last clone dropped stops the threads.
#[derive(Clone)]
pub struct LocalModels(Arc<Shared>);

struct Shared {
    stt: Option<Arc<Queue<SttJob>>>,
    turn: Option<Arc<Queue<TurnJob>>>,
    piper: Option<Arc<Queue<TtsJob>>>,
    kokoro: Option<Arc<Queue<TtsJob>>>,
    #[cfg(feature = "llama")]
    llm: Option<Arc<Queue<crate::llama::Task>>>,
    voices: Option<Voices>,
    workers: Mutex<Workers>,
}

/// Speeds assumed until the first jobs were timed, in ms per unit, from docs/performance.md: audio
/// milliseconds, judgements, characters, answers.
const STT_MS_PER_AUDIO_MS: f64 = 0.02;
const TURN_MS: f64 = 40.0;
const PIPER_MS_PER_CHARACTER: f64 = 4.0;
const KOKORO_MS_PER_CHARACTER: f64 = 40.0;
#[cfg(feature = "llama")]
const LLM_MS_PER_ANSWER: f64 = 1_000.0;

impl LocalModels {
    /// Loads the models of `config` and starts their threads; blocks until all are ready.
    ///
    /// Errors: [`LocalError::Missing`] and [`LocalError::Damaged`] name the model to pull;
    /// [`LocalError::NoPhonemes`] names the packages to install; [`LocalError::BadInput`] for a
    /// part this build does not have.
    pub fn open(config: &LocalConfig) -> Result<Self, LocalError> {
        let mut shared = Shared {
            stt: None,
            turn: None,
            piper: None,
            kokoro: None,
            #[cfg(feature = "llama")]
            llm: None,
            voices: None,
            workers: Mutex::default(),
        };
        let mut workers = Workers::default();
        // dropping `shared` on an error closes the queues and joins what was started
        let started = shared
            .start(config, &mut workers)
            .and_then(|()| workers.loaded());
        *shared
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = workers;
        started?;
        Ok(Self(Arc::new(shared)))
    }

    /// Transcribes one utterance.
    ///
    /// Errors: [`LocalError::Overloaded`] when it would wait too long, [`LocalError::BadInput`]
    /// when no speech recognition is loaded.
    pub fn transcribe(
        &self,
        origin: Origin,
        mut request: TranscribeRequest,
    ) -> Result<Pending<Transcript>, LocalError> {
        let queue = self
            .0
            .stt
            .as_ref()
            .ok_or_else(|| not_loaded("speech recognition"))?;
        let (pending, reply, cancel) = pending(&request.cancel);
        request.cancel = cancel.clone();
        let audio_ms = (request.audio.len() / 16) as u32;
        let ticket = ticket(origin, audio_ms, cancel);
        queue.push(ticket, SttJob { request, reply })?;
        Ok(pending)
    }

    /// The probability, 0 to 1, that the speaker has finished; `audio` is 16 kHz up to and including
    /// the pause.
    ///
    /// Errors: as for [`transcribe`](Self::transcribe).
    pub fn judge_turn(
        &self,
        origin: Origin,
        audio: Arc<[i16]>,
    ) -> Result<Pending<f32>, LocalError> {
        let queue = self
            .0
            .turn
            .as_ref()
            .ok_or_else(|| not_loaded("turn detection"))?;
        let (pending, reply, cancel) = pending(&Cancel::new());
        let job = TurnJob {
            audio,
            cancel: cancel.clone(),
            reply,
        };
        queue.push(ticket(origin, 1, cancel), job)?;
        Ok(pending)
    }

    /// Speaks one piece of a reply.
    ///
    /// Errors: [`LocalError::Overloaded`] when it would wait too long, [`LocalError::BadInput`] for
    /// a voice nobody knows or when no voice is loaded.
    pub fn speak(&self, request: SpeakRequest) -> Result<Pending<Audio>, LocalError> {
        let voices = self
            .0
            .voices
            .as_ref()
            .ok_or_else(|| not_loaded("speech synthesis"))?;
        let voice = voices
            .resolve(&request.voice)
            .ok_or_else(|| LocalError::BadInput(format!("no voice is called {}", request.voice)))?;
        let queue = match voice.model {
            VoiceModel::Piper => self.0.piper.as_ref(),
            VoiceModel::Kokoro => self.0.kokoro.as_ref(),
        };
        let queue = queue.ok_or_else(|| not_loaded("this voice"))?;
        let (pending, reply, cancel) = pending(&request.cancel);
        let mut ticket = ticket(request.origin, request.text.len() as u32, cancel.clone());
        if request.piece == 0 && ticket.class == Class::Live {
            ticket.class = Class::Urgent;
        }
        let job = TtsJob {
            text: request.text,
            voice: voice.id.clone(),
            speed: request.speed,
            cancel,
            reply,
        };
        queue.push(ticket, job)?;
        Ok(pending)
    }

    /// Answers a conversation, token by token.
    ///
    /// Errors: [`LocalError::Overloaded`] when it would wait too long, [`LocalError::BadInput`]
    /// when no language model is loaded. A prompt that does not fit fails through the events, with
    /// [`LocalError::ContextFull`].
    #[cfg_attr(
        not(feature = "llama"),
        expect(
            clippy::needless_pass_by_value,
            reason = "the same signature in every build"
        )
    )]
    pub fn generate(&self, request: GenerateRequest) -> Result<Generation, LocalError> {
        #[cfg(feature = "llama")]
        if let Some(queue) = &self.0.llm {
            return generate::submit(queue, request);
        }
        Err(not_loaded(&format!(
            "language model for {} messages",
            request.messages.len()
        )))
    }

    /// Evaluates a conversation's prompt before its question is known, so that
    /// [`generate`](Self::generate) finds it cached. Best effort: skipped when the model is busy or
    /// absent, and given up as soon as the session asks for an answer.
    #[cfg_attr(
        not(feature = "llama"),
        expect(
            clippy::needless_pass_by_value,
            reason = "the same signature in every build"
        )
    )]
    pub fn warm(&self, session: &str, messages: Vec<ChatMessage>) {
        #[cfg(feature = "llama")]
        if let Some(queue) = &self.0.llm {
            generate::warm(queue, session, messages);
        }
        #[cfg(not(feature = "llama"))]
        tracing::trace!(
            session,
            messages = messages.len(),
            "no language model to warm"
        );
    }

    /// The voices that can be asked for.
    pub fn voices(&self) -> Vec<Voice> {
        self.0
            .voices
            .as_ref()
            .map(|voices| voices.all().to_vec())
            .unwrap_or_default()
    }

    /// The voice a client's name stands for; `None` when nobody knows it.
    pub fn resolve_voice(&self, requested: &str) -> Option<Voice> {
        self.0.voices.as_ref()?.resolve(requested).cloned()
    }

    /// Jobs waiting per queue.
    pub fn queue_depths(&self) -> QueueDepths {
        let tts = |queue: &Option<Arc<Queue<TtsJob>>>| queue.as_ref().map_or(0, |q| q.waiting());
        QueueDepths {
            stt: self.0.stt.as_ref().map_or(0, |queue| queue.waiting()),
            turn: self.0.turn.as_ref().map_or(0, |queue| queue.waiting()),
            tts: tts(&self.0.piper) + tts(&self.0.kokoro),
            #[cfg(feature = "llama")]
            llm: self.0.llm.as_ref().map_or(0, |queue| queue.waiting()),
            #[cfg(not(feature = "llama"))]
            llm: 0,
        }
    }

    /// Whether a language model is loaded.
    pub fn has_llm(&self) -> bool {
        #[cfg(feature = "llama")]
        return self.0.llm.is_some();
        #[cfg(not(feature = "llama"))]
        false
    }
}

fn not_loaded(what: &str) -> LocalError {
    LocalError::BadInput(format!("this server has no local {what} loaded"))
}

fn ticket(origin: Origin, units: u32, cancel: Cancel) -> Ticket {
    Ticket {
        session: origin.session,
        class: origin.priority.into(),
        units,
        cancel,
    }
}

impl Shared {
    fn start(&mut self, config: &LocalConfig, workers: &mut Workers) -> Result<(), LocalError> {
        for part in &config.parts {
            match part {
                Part::Stt => self.start_stt(config, workers)?,
                Part::Turn => self.start_turn(config, workers)?,
                Part::Tts => self.start_tts(config, workers)?,
                #[cfg(feature = "llama")]
                Part::Llm => {
                    let queue = Queue::new(QueueConfig {
                        name: "llm",
                        limits: config.limits.llm,
                        workers: config.llm.sequences as usize,
                        ms_per_unit: LLM_MS_PER_ANSWER,
                    });
                    self.llm = Some(Arc::clone(&queue));
                    generate::start(config, queue, workers)?;
                }
                #[cfg(not(feature = "llama"))]
                Part::Llm => {
                    return Err(LocalError::BadInput(
                        "this build has no language model: build with the feature llama".to_owned(),
                    ));
                }
            }
        }
        Ok(())
    }

    fn start_stt(&mut self, config: &LocalConfig, workers: &mut Workers) -> Result<(), LocalError> {
        let queue = Queue::new(QueueConfig {
            name: "stt",
            limits: config.limits.stt,
            workers: config.stt_workers,
            ms_per_unit: STT_MS_PER_AUDIO_MS,
        });
        self.stt = Some(Arc::clone(&queue));
        for number in 0..config.stt_workers.max(1) {
            let (models_dir, queue) = (config.models_dir.clone(), Arc::clone(&queue));
            workers.start(
                &format!("stt-{number}"),
                move || Whisper::open(&models_dir),
                move |model| worker::transcribe(model, &queue),
            )?;
        }
        Ok(())
    }

    fn start_turn(
        &mut self,
        config: &LocalConfig,
        workers: &mut Workers,
    ) -> Result<(), LocalError> {
        let queue = Queue::new(QueueConfig {
            name: "turn",
            limits: config.limits.turn,
            workers: 1,
            ms_per_unit: TURN_MS,
        });
        self.turn = Some(Arc::clone(&queue));
        let models_dir = config.models_dir.clone();
        workers.start(
            "turn",
            move || SmartTurn::open(&models_dir),
            move |model| worker::judge(model, &queue),
        )
    }

    fn start_tts(&mut self, config: &LocalConfig, workers: &mut Workers) -> Result<(), LocalError> {
        let session = SessionConfig {
            threads: config.tts_threads.max(1),
            ..SessionConfig::default()
        };
        let queue = Queue::new(QueueConfig {
            name: "tts",
            limits: config.limits.tts,
            workers: config.tts_workers,
            ms_per_unit: PIPER_MS_PER_CHARACTER,
        });
        self.piper = Some(Arc::clone(&queue));
        for number in 0..config.tts_workers.max(1) {
            let (models_dir, queue) = (config.models_dir.clone(), Arc::clone(&queue));
            workers.start(
                &format!("tts-{number}"),
                move || Piper::open_with(&models_dir, session),
                move |model| worker::speak_piper(model, &queue),
            )?;
        }
        let mut voices = Piper::installed_voices(&config.models_dir)?;
        match Kokoro::installed_voices(&config.models_dir) {
            Ok(kokoro) => voices.extend(kokoro),
            // Kokoro is a choice: its absence is no error
            Err(LocalError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        if voices.iter().any(|voice| voice.model == VoiceModel::Kokoro) {
            self.start_kokoro(config, session, workers)?;
        }
        self.voices = Voices::new(voices, &config.default_voice);
        Ok(())
    }

    fn start_kokoro(
        &mut self,
        config: &LocalConfig,
        session: SessionConfig,
        workers: &mut Workers,
    ) -> Result<(), LocalError> {
        let queue = Queue::new(QueueConfig {
            name: "kokoro",
            limits: config.limits.kokoro,
            workers: 1,
            ms_per_unit: KOKORO_MS_PER_CHARACTER,
        });
        self.kokoro = Some(Arc::clone(&queue));
        let models_dir = config.models_dir.clone();
        workers.start(
            "kokoro",
            || Ok(()),
            move |()| {
                worker::speak_kokoro(|| Kokoro::open_with(&models_dir, session), &queue);
            },
        )
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(queue) = &self.stt {
            queue.close();
        }
        if let Some(queue) = &self.turn {
            queue.close();
        }
        for queue in [&self.piper, &self.kokoro].into_iter().flatten() {
            queue.close();
        }
        #[cfg(feature = "llama")]
        if let Some(queue) = &self.llm {
            queue.close();
        }
        self.workers
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .join();
    }
}
