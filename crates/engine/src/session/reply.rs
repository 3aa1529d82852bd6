//! A reply in the making: text and calls from the model, speech from synthesis, what was released.
//! Owned by [`super::Session`], which turns its progress into the event ladder (`present`).
//! Never sends anything itself.

mod parts;

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use wire::realtime::response::{CreateResponse, Response};
use wire::realtime::session::Modality;
use wire::realtime::{ErrorBody, ItemStatus};

use super::another_voice::Voice;
use super::duplex::Resumed;
use super::input::{ReplyId, UtteranceId};
use super::items::SpokenPiece;
use super::tools::{Round, Wanted};
use crate::ask::{Finish, LlmUsage, SpeakOptions};
use crate::audio::{Encoder, Format, SampleRate};
use crate::speech::{CutRules, Cutter, spoken};

pub(super) use parts::{Call, Calling, Joint, Message, Parting, SpeakWork};

/// Longest stretch of audio in one delta, in ms (clients cap frames, spec/realtime §1.1).
const SLICE_MS: u64 = 100;

/// How far a reply has come towards being seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Prepared during a pause of this utterance; invisible until the turn is decided.
    Held(UtteranceId),
    /// Announced; waits for transcripts it must read.
    Waiting,
    /// Announced and asked.
    Asked,
}

#[derive(Debug)]
struct PieceProgress {
    text_bytes: usize,
    samples: u64,
    rate_hz: u32,
    done: bool,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) id: ReplyId,
    pub(super) stage: Stage,
    pub(super) response: Response,
    pub(super) create: CreateResponse,
    pub(super) speak: SpeakOptions,
    /// The turn it answers by itself, for idle and speculative context.
    pub(super) prompt: Option<String>,
    pub(super) text: String,
    pub(super) text_sent: usize,
    pub(super) message: Message,
    pub(super) calls: Vec<Call>,
    pub(super) calls_closed: usize,
    pub(super) next_output_index: u32,
    pub(super) finish: Option<Finish>,
    pub(super) usage: LlmUsage,
    /// Tokens of speech, where a model counts them.
    pub(super) audio_usage: LlmUsage,
    pub(super) input_audio_ms: u64,
    /// How it goes on after its connection was lost.
    pub(super) resumed: Option<Resumed>,
    /// Functions of the server that the model has called in the answer that is still coming.
    pub(super) wanted: Vec<Wanted>,
    /// Whose function the answer is calling.
    pub(super) calling: Calling,
    /// What it has called and been told before the answer that is still coming.
    pub(super) rounds: Vec<Round>,
    /// When it must say something because a function takes its time, and what.
    pub(super) filler: Option<(u64, String)>,
    /// How the next text joins what was said.
    pub(super) joint: Joint,
    /// Why it says something of the server's own instead of an answer.
    pub(super) excuse: Option<ErrorBody>,
    /// Whether the session ends once everything was heard.
    pub(super) parting: Parting,
    /// Who speaks it.
    pub(super) voice: Voice,
    format: Format,
    encoder: Option<(u32, Encoder)>,
    cutter: Cutter,
    pieces: Vec<PieceProgress>,
    /// How many of them the client was told of.
    told: usize,
    /// Piece behind each index given to synthesis.
    spoken: Vec<usize>,
    unspoken: VecDeque<(u32, String)>,
    synthesis: Synthesis,
    audio_ready: VecDeque<Bytes>,
    kept: BytesMut,
    sent_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Synthesis {
    Unopened,
    Open,
    Ended,
    /// It failed: the rest is shown and not heard.
    Muted,
    /// There is none: the model speaks by itself.
    Model,
}

impl Reply {
    pub(super) fn new(
        id: ReplyId,
        stage: Stage,
        response: Response,
        create: CreateResponse,
        speak: SpeakOptions,
    ) -> Self {
        let format = match response.audio.output.format {
            wire::realtime::AudioFormat::Pcm24k(_) => Format::Pcm24k,
            wire::realtime::AudioFormat::Pcmu => Format::Pcmu,
            wire::realtime::AudioFormat::Pcma => Format::Pcma,
        };
        Self {
            id,
            stage,
            response,
            create,
            speak,
            prompt: None,
            text: String::new(),
            text_sent: 0,
            message: Message::Unopened,
            calls: Vec::new(),
            calls_closed: 0,
            next_output_index: 0,
            finish: None,
            usage: LlmUsage::default(),
            audio_usage: LlmUsage::default(),
            input_audio_ms: 0,
            resumed: None,
            wanted: Vec::new(),
            calling: Calling::Client,
            rounds: Vec::new(),
            filler: None,
            joint: Joint::Tight,
            excuse: None,
            voice: Voice::default(),
            parting: Parting::Stays,
            format,
            encoder: None,
            cutter: Cutter::new(CutRules::default()),
            pieces: Vec::new(),
            told: 0,
            spoken: Vec::new(),
            unspoken: VecDeque::new(),
            synthesis: Synthesis::Unopened,
            audio_ready: VecDeque::new(),
            kept: BytesMut::new(),
            sent_bytes: 0,
        }
    }

    pub(super) fn speaks(&self) -> bool {
        self.response.output_modalities == Modality::Audio
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held(_))
    }

    /// Whether it writes to the default conversation and may be seen.
    pub(super) fn is_active_default(&self) -> bool {
        self.response.conversation_id.is_some() && !self.is_held()
    }

    /// Takes text from the model and says what to synthesise.
    pub(super) fn push_text(&mut self, text: &str, work: &mut Vec<SpeakWork>) {
        let joint = std::mem::take(&mut self.joint);
        if joint == Joint::Loose && !text.starts_with(char::is_whitespace) {
            self.push_text(" ", work);
        }
        self.text.push_str(text);
        if self.speaks() && !self.speaks_by_itself() {
            let mut cut = Vec::new();
            self.cutter.push(text, &mut cut);
            self.take_pieces(cut, work);
        }
    }

    /// What was said so far is spoken now, although more will come.
    pub(super) fn flush_text(&mut self, work: &mut Vec<SpeakWork>) {
        if self.speaks() && !self.speaks_by_itself() {
            let mut cut = Vec::new();
            self.cutter.finish(&mut cut);
            self.cutter = Cutter::new(CutRules::default());
            self.take_pieces(cut, work);
        }
    }

    /// Whether a phrase may fill its silence: nothing is said behind a call of the client's, or behind a farewell.
    pub(super) fn may_fill(&self) -> bool {
        !self.is_held() && self.calls.is_empty() && !self.ends_call() && !self.speaks_by_itself()
    }

    /// Whether the session ends once everything was heard.
    pub(super) fn ends_call(&self) -> bool {
        self.parting != Parting::Stays
    }

    /// What was said since the results of its last calls were read; nothing where it has only begun.
    pub(super) fn said_since_call(&self) -> &str {
        let from = self.rounds.last().map_or(0, Round::text_bytes);
        self.text.get(from..).unwrap_or_default().trim()
    }

    /// Adds the tokens of one answer.
    pub(super) fn add_usage(&mut self, usage: LlmUsage) {
        self.usage.input_tokens += usage.input_tokens;
        self.usage.cached_tokens += usage.cached_tokens;
        self.usage.output_tokens += usage.output_tokens;
    }

    /// No more text will come: a call began or the model finished.
    pub(super) fn end_text(&mut self, work: &mut Vec<SpeakWork>) {
        if !self.speaks() || self.speaks_by_itself() {
            return;
        }
        let mut cut = Vec::new();
        self.cutter.finish(&mut cut);
        self.take_pieces(cut, work);
        if self.finish.is_some() && self.synthesis == Synthesis::Open && self.unspoken.is_empty() {
            self.synthesis = Synthesis::Ended;
            work.push(SpeakWork::End);
        }
    }

    fn take_pieces(&mut self, cut: Vec<crate::speech::Piece>, work: &mut Vec<SpeakWork>) {
        for piece in cut {
            let aloud = spoken(&piece.text);
            self.pieces.push(PieceProgress {
                text_bytes: piece.text.len(),
                samples: 0,
                rate_hz: 1,
                done: aloud.is_empty() || self.is_muted(),
            });
            if !aloud.is_empty() && !self.is_muted() {
                let index = self.spoken.len() as u32;
                self.spoken.push(self.pieces.len() - 1);
                self.unspoken.push_back((index, aloud));
            }
        }
        self.speak_more(work);
    }

    /// Hands pieces to synthesis; a held reply gets only its first clause, which is what hides latency.
    pub(super) fn speak_more(&mut self, work: &mut Vec<SpeakWork>) {
        while let Some((index, text)) = self.unspoken.pop_front() {
            if self.is_held() && index > 0 {
                self.unspoken.push_front((index, text));
                return;
            }
            if self.synthesis == Synthesis::Unopened {
                self.synthesis = Synthesis::Open;
                work.push(SpeakWork::Open);
            }
            work.push(SpeakWork::Speak(index, text));
        }
        if self.finish.is_some() && self.synthesis == Synthesis::Open {
            self.synthesis = Synthesis::Ended;
            work.push(SpeakWork::End);
        }
    }

    /// Its model speaks: nothing of it is synthesised.
    pub(super) fn let_model_speak(&mut self) {
        self.synthesis = Synthesis::Model;
    }

    /// Whether its model speaks by itself.
    pub(super) fn speaks_by_itself(&self) -> bool {
        self.synthesis == Synthesis::Model
    }

    /// No more of it will be spoken.
    pub(super) fn mute(&mut self) {
        self.synthesis = Synthesis::Muted;
        self.unspoken.clear();
        for piece in &mut self.pieces {
            piece.done = true;
        }
    }

    fn is_muted(&self) -> bool {
        self.synthesis == Synthesis::Muted
    }

    /// Whether a synthesis stream was opened (and must be dropped on cancel).
    pub(super) fn synthesis_opened(&self) -> bool {
        matches!(self.synthesis, Synthesis::Open | Synthesis::Ended)
    }

    /// Takes samples from synthesis and encodes them for the client.
    pub(super) fn push_audio(&mut self, index: u32, rate_hz: u32, samples: &[i16]) {
        let Some(piece) = self
            .spoken
            .get(index as usize)
            .and_then(|at| self.pieces.get_mut(*at))
        else {
            return;
        };
        piece.samples += samples.len() as u64;
        piece.rate_hz = rate_hz.max(1);
        if self
            .encoder
            .as_ref()
            .is_none_or(|(rate, _)| *rate != rate_hz)
        {
            let rate = SampleRate::new(rate_hz).unwrap_or(SampleRate::HZ_24K);
            self.encoder = Some((rate_hz, Encoder::new(rate, self.format)));
        }
        let mut encoded = Vec::new();
        if let Some((_, encoder)) = &mut self.encoder {
            encoder.push(samples, &mut encoded);
        }
        self.slice(encoded);
    }

    fn slice(&mut self, encoded: Vec<u8>) {
        let mut encoded = Bytes::from(encoded);
        let step = self.format.bytes(SLICE_MS) as usize;
        while encoded.len() > step {
            self.audio_ready.push_back(encoded.split_to(step));
        }
        if !encoded.is_empty() {
            self.audio_ready.push_back(encoded);
        }
    }

    /// Takes speech that its model has made itself, in the client's format.
    pub(super) fn push_voice(&mut self, audio: Bytes) {
        let ms = self.format.duration_ms(audio.len() as u64);
        if self.pieces.is_empty() {
            self.pieces.push(PieceProgress {
                text_bytes: 0,
                samples: 0,
                // its length is counted in ms
                rate_hz: 1000,
                done: true,
            });
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.samples += ms;
            piece.text_bytes = self.text.len();
        }
        let mut audio = audio;
        let step = self.format.bytes(SLICE_MS) as usize;
        while audio.len() > step {
            self.audio_ready.push_back(audio.split_to(step));
        }
        if !audio.is_empty() {
            self.audio_ready.push_back(audio);
        }
    }

    /// A piece was spoken whole.
    pub(super) fn piece_done(&mut self, index: u32) {
        if let Some(at) = self.spoken.get(index as usize) {
            self.pieces[*at].done = true;
        }
    }

    /// Whether all text there will be is known.
    pub(super) fn text_complete(&self) -> bool {
        self.finish.is_some() || !self.calls.is_empty()
    }

    /// Whether everything that will be said has been synthesised.
    fn spoken_out(&self) -> bool {
        self.text_complete()
            && self.unspoken.is_empty()
            && self.pieces.iter().all(|piece| piece.done)
    }

    /// Takes the encoder's last samples once everything has been synthesised.
    pub(super) fn flush_speech(&mut self) {
        if self.spoken_out()
            && let Some((_, mut encoder)) = self.encoder.take()
        {
            let mut tail = Vec::new();
            encoder.flush(&mut tail);
            self.slice(tail);
        }
    }

    /// Whether the message can be closed: all said and sent, or nothing to say.
    pub(super) fn message_complete(&self) -> bool {
        let spoken = !self.speaks() || self.spoken_out();
        self.text_complete() && spoken && !self.has_unsent()
    }

    /// Text not yet sent.
    pub(super) fn unsent_text(&mut self) -> Option<String> {
        let range: Range<usize> = self.text_sent..self.text.len();
        if range.is_empty() {
            return None;
        }
        self.text_sent = self.text.len();
        self.text.get(range).map(str::to_owned)
    }

    /// Whether there is something to show in a message.
    pub(super) fn has_unsent(&self) -> bool {
        self.text_sent < self.text.len() || !self.audio_ready.is_empty()
    }

    /// The next slice of audio and its duration in ms; remembered up to `max_kept` bytes for `retrieve`.
    pub(super) fn next_slice(&mut self, max_kept: usize) -> Option<(Bytes, u64)> {
        let slice = self.audio_ready.pop_front()?;
        if self.kept.len() + slice.len() <= max_kept {
            self.kept.extend_from_slice(&slice);
        }
        self.sent_bytes += slice.len() as u64;
        let ms = self.format.duration_ms(slice.len() as u64);
        Some((slice, ms))
    }

    /// Audio released so far, in ms.
    pub(super) fn audio_ms(&self) -> u64 {
        self.format.duration_ms(self.sent_bytes)
    }

    /// Audio released so far, as far as it was kept.
    pub(super) fn kept_audio(&self) -> Bytes {
        Bytes::copy_from_slice(&self.kept)
    }

    /// Encoding of its audio.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The item it is speaking.
    pub(super) fn speaking_item(&self) -> Option<&str> {
        match &self.message {
            Message::Open(item_id, _) if self.speaks() && !self.is_muted() => Some(item_id),
            _ => None,
        }
    }

    /// Status of the item that was being written when the model stopped: cut off items are not complete.
    pub(super) fn last_status(&self) -> ItemStatus {
        match self.finish {
            Some(Finish::Length | Finish::ContentFilter) => ItemStatus::Incomplete,
            Some(Finish::Stop) | None => ItemStatus::Completed,
        }
    }

    /// Alignment of text and speech so far; what has no speech yet is left out, since nobody heard it.
    pub(super) fn alignment(&self) -> Vec<SpokenPiece> {
        self.pieces
            .iter()
            .take_while(|piece| piece.done || piece.samples > 0)
            .map(|piece| SpokenPiece {
                text_bytes: piece.text_bytes,
                audio_ms: piece.samples * 1000 / u64::from(piece.rate_hz),
            })
            .collect()
    }

    /// Puts the model's text so far (bytes sent) on record for a cut-off message.
    pub(super) fn sent_text(&self) -> &str {
        self.text.get(..self.text_sent).unwrap_or_default()
    }
}
