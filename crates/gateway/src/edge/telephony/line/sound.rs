//! Sound on its way to the carrier: cut into frames, paced, marked, and accounted for as it is heard.
//! Owned by the task of a call; fed with the session's sound, drained into frames.
//! Never runs further ahead of the carrier's playing than [`AHEAD_MS`], and never counts as heard what was not.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use engine::audio::{self, Decoder, SampleRate};
use engine::call::ledger::{self, Cut, Ledger, Marks};
use engine::call::pacing::{Pace, Pacer};
use wire::telephony::framing::Cutter;
use wire::telephony::{Codec, Dialect, Format, Say};

/// How far the carrier may be ahead of its playing, in ms: enough for a task that is held up, and little to throw away.
const AHEAD_MS: u64 = 400;
/// The same for carriers that take few large frames.
const AHEAD_LARGE_MS: u64 = 1000;
/// Length of the frames that those are sent, in ms.
const LARGE_MS: u64 = 400;
/// Sound that the pacer holds, in ms; the rest waits as it came.
const PACED_MS: u64 = 1000;
/// Sound that may wait, in ms: what a model says in one go. More is dropped and counted.
const WAITING_MS: u64 = 600_000;
/// A carrier that has sent no mark back so long after everything must have been played sends none, in ms.
const MARKS_WITHIN_MS: u64 = 3000;

/// What becomes of sound that is to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    /// It waits for its turn.
    Yes,
    /// Its item was cut.
    Late,
    /// There is no room: so many ms are dropped.
    Dropped(u64),
}

/// A mark that goes out behind the sound before it.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// Bytes that have to be out.
    behind: u64,
    number: u64,
    mark: ledger::Mark,
}

/// The way out of one call.
pub(super) struct Sound {
    format: Format,
    marks: Marks,
    ledger: Ledger,
    pacer: Pacer,
    /// For carriers that do not take frames of 20 ms.
    cutter: Option<Cutter>,
    /// From the session's rate to the carrier's, where they differ.
    resampler: Option<Decoder>,
    samples: Vec<i16>,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    due: VecDeque<Due>,
    sent: VecDeque<(u64, ledger::Mark)>,
    /// Bytes that were taken in, and that are out.
    taken: u64,
    out: u64,
    numbers: u64,
    /// The utterance is over: what is left of it goes out with silence behind it.
    ending: Ending,
    /// Whether any mark has come back.
    echoes: u64,
    last_out_ms: u64,
    /// The carrier wants nothing before this time.
    held_until_ms: u64,
    frame_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Yes,
}

impl Sound {
    /// For a stream that has started.
    pub(super) fn new(codec: &Codec) -> Self {
        let format = codec.format();
        let marks = match codec.dialect() {
            Dialect::AudioHook | Dialect::Relay => Marks::Clock,
            _ => Marks::Sent,
        };
        let frame_bytes = format.bytes_per_ms() * 20;
        let delivery = codec.delivery();
        let large = !delivery.frame.allows(frame_bytes) || delivery.rate.is_some();
        let (ahead_ms, cutter) = if large {
            let cutter = Cutter::new(delivery.frame, format, LARGE_MS);
            (AHEAD_LARGE_MS, Some(cutter))
        } else {
            (AHEAD_MS, None)
        };
        let pace = Pace {
            frame_bytes,
            silence: format.silence(),
            ahead_ms,
            kept_ms: PACED_MS,
        };
        let resampler = match format {
            Format::Mulaw8k | Format::Alaw8k | Format::L16At24k => None,
            Format::L16At8k => Some(SampleRate::HZ_8K),
            Format::L16At16k => Some(SampleRate::HZ_16K),
        };
        Self {
            ledger: Ledger::new(marks, session_rate(format)),
            marks,
            pacer: Pacer::new(pace),
            cutter,
            resampler: resampler.map(|rate| Decoder::to_rate(audio::Format::Pcm24k, rate)),
            samples: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            due: VecDeque::new(),
            sent: VecDeque::new(),
            taken: 0,
            out: 0,
            numbers: 0,
            ending: Ending::No,
            echoes: 0,
            last_out_ms: 0,
            held_until_ms: 0,
            frame_bytes: frame_bytes as u64,
            format,
        }
    }

    /// Takes in sound of an item, in the session's format.
    pub(super) fn play(&mut self, part: (&str, u32), sound: &Bytes, now_ms: u64) -> Queued {
        let waiting_ms = self.format.duration_ms(self.waiting_bytes);
        if waiting_ms > WAITING_MS {
            return Queued::Dropped(session_ms(self.format, sound.len()));
        }
        let samples = sound.len() / session_bytes(self.format);
        let mark = match self.ledger.audio(part, samples, now_ms) {
            ledger::Sent::Late => return Queued::Late,
            ledger::Sent::Play(mark) => mark,
        };
        self.ending = Ending::No;
        self.take(sound.clone());
        if let Some(mark) = mark {
            self.numbers += 1;
            self.due.push_back(Due {
                behind: self.taken,
                number: self.numbers,
                mark,
            });
        }
        Queued::Yes
    }

    /// Takes in sound that belongs to no item, such as tones: linear, at the carrier's rate.
    pub(super) fn play_samples(&mut self, samples: &[i16]) {
        let mut encoder =
            audio::Encoder::new(carrier_rate(self.format), carrier_format(self.format));
        let mut bytes = Vec::new();
        encoder.push(samples, &mut bytes);
        encoder.flush(&mut bytes);
        let bytes = Bytes::from(bytes);
        self.queue(bytes);
        self.end_of_utterance();
    }

    /// The rate that the carrier plays at, in Hz.
    pub(super) const fn rate_hz(&self) -> u32 {
        self.format.rate_hz()
    }

    fn take(&mut self, sound: Bytes) {
        let Some(resampler) = &mut self.resampler else {
            self.queue(sound);
            return;
        };
        self.samples.clear();
        resampler.push(&sound, &mut self.samples);
        let bytes: Vec<u8> = self
            .samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        self.queue(bytes.into());
    }

    fn queue(&mut self, bytes: Bytes) {
        self.taken += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    /// An utterance is over.
    pub(super) fn end_of_utterance(&mut self) {
        self.ending = Ending::Yes;
    }

    /// Number of the last mark, to be asked for when an item's sound is complete.
    pub(super) const fn last_mark(&self) -> u64 {
        self.numbers
    }

    /// Hands every frame and mark that is due to `say`, in order.
    pub(super) fn due(&mut self, now_ms: u64, mut say: impl FnMut(Say<'_>)) {
        if now_ms < self.held_until_ms {
            return;
        }
        loop {
            self.feed();
            let (cutter, out) = (&mut self.cutter, &mut self.out);
            let (due, sent) = (&mut self.due, &mut self.sent);
            let frames = self.pacer.due(now_ms, |frame| {
                match cutter {
                    None => {
                        say(Say::Audio(frame));
                        *out += frame.len() as u64;
                    }
                    Some(cutter) => {
                        cutter.push(frame);
                        while let Some(frame) = cutter.next_frame() {
                            say(Say::Audio(&frame));
                            *out += frame.len() as u64;
                        }
                    }
                }
                while let Some(mark) = due.front().filter(|mark| mark.behind <= *out).copied() {
                    due.pop_front();
                    sent.push_back((mark.number, mark.mark));
                    say(Say::Mark(mark.number));
                }
            });
            if frames == 0 {
                break;
            }
            self.last_out_ms = now_ms;
        }
        self.rest(&mut say);
    }

    /// What a carrier of large frames has not been sent yet of an utterance that is over, and the marks behind it.
    fn rest(&mut self, say: &mut impl FnMut(Say<'_>)) {
        let Some(cutter) = &mut self.cutter else {
            return;
        };
        let over = self.ending == Ending::Yes && self.waiting.is_empty();
        if !over || self.pacer.waiting_ms() > 0 {
            return;
        }
        if let Some(frame) = cutter.finish() {
            say(Say::Audio(&frame));
        }
        // what the frame was filled up with counts for nothing
        self.out = self.taken;
        while let Some(mark) = self.due.pop_front() {
            self.sent.push_back((mark.number, mark.mark));
            say(Say::Mark(mark.number));
        }
    }

    /// Fills the pacer.
    fn feed(&mut self) {
        while let Some(front) = self.waiting.front_mut() {
            let taken = self.pacer.push(front);
            self.waiting_bytes -= taken;
            if taken < front.len() {
                let _ = front.split_to(taken);
                return;
            }
            self.waiting.pop_front();
        }
        if self.ending == Ending::Yes {
            self.pacer.finish();
            self.taken = self.taken.next_multiple_of(self.frame_bytes);
        }
    }

    /// When the next frame is due.
    pub(super) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let next_ms = if self.waiting.is_empty() {
            self.pacer.next_ms(now_ms)?
        } else {
            // what waits goes into the pacer first
            self.pacer.next_ms(now_ms).unwrap_or(now_ms)
        };
        Some(next_ms.max(self.held_until_ms))
    }

    /// The carrier is sent too much, and wants no sound before `until_ms` (Genesys, 429).
    pub(super) fn hold(&mut self, until_ms: u64) {
        self.held_until_ms = self.held_until_ms.max(until_ms);
    }

    /// A mark has come back; whether it says that something was heard, and the number up to which.
    pub(super) fn echo(&mut self, number: u64, played: bool) -> Option<u64> {
        self.echoes += 1;
        let mut last = None;
        while let Some((sent, mark)) = self.sent.front().copied() {
            if sent > number {
                break;
            }
            self.sent.pop_front();
            last = Some(mark);
        }
        let mark = last.filter(|_| played)?;
        self.ledger.mark(&mark.to_string());
        Some(number)
    }

    /// What has been heard of marks that never come back: a carrier that sends none has played everything by the clock.
    pub(super) fn overdue(&mut self, now_ms: u64) -> Option<u64> {
        let (number, _) = *self.sent.back()?;
        let played = self.pacer.buffered_ms(now_ms) == 0 && self.waiting.is_empty();
        let waited = now_ms.saturating_sub(self.last_out_ms) > AHEAD_LARGE_MS + MARKS_WITHIN_MS;
        if !(played && waited) {
            return None;
        }
        let echoes = self.echoes;
        let heard = self.echo(number, true);
        self.echoes = echoes;
        heard
    }

    /// The caller speaks over us. Adds what is to be cut; true when the carrier is to be sent a `clear`.
    pub(super) fn interrupt(&mut self, now_ms: u64, cuts: &mut Vec<Cut>) -> bool {
        let clears = self.ledger.interrupt(now_ms, cuts);
        if clears {
            self.forget(now_ms);
        }
        clears
    }

    fn forget(&mut self, now_ms: u64) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.due.clear();
        self.pacer.clear(now_ms);
        if let Some(cutter) = &mut self.cutter {
            cutter.clear();
        }
        if let Some(resampler) = &mut self.resampler {
            let mut rest = Vec::new();
            resampler.flush(&mut rest);
        }
        self.ending = Ending::No;
        self.taken = 0;
        self.out = 0;
    }

    /// Whether everything has been heard.
    pub(super) fn is_quiet(&mut self, now_ms: u64) -> bool {
        self.waiting.is_empty()
            && self.pacer.waiting_ms() == 0
            && self.ledger.is_quiet(now_ms)
            && self.pacer.buffered_ms(now_ms) == 0
    }

    /// How what was played is known.
    pub(super) const fn marks(&self) -> Marks {
        self.marks
    }

    /// How long so much of the session's sound is, in ms.
    pub(super) const fn duration_ms(&self, bytes: usize) -> u64 {
        session_ms(self.format, bytes)
    }
}

/// Samples a second of the session's sound.
const fn session_rate(format: Format) -> u32 {
    match format {
        Format::Mulaw8k | Format::Alaw8k => 8000,
        _ => 24_000,
    }
}

/// Bytes of one of its samples.
const fn session_bytes(format: Format) -> usize {
    match format {
        Format::Mulaw8k | Format::Alaw8k => 1,
        _ => 2,
    }
}

const fn session_ms(format: Format, bytes: usize) -> u64 {
    (bytes / session_bytes(format) * 1000 / session_rate(format) as usize) as u64
}

const fn carrier_rate(format: Format) -> SampleRate {
    match format {
        Format::Mulaw8k | Format::Alaw8k | Format::L16At8k => SampleRate::HZ_8K,
        Format::L16At16k => SampleRate::HZ_16K,
        Format::L16At24k => SampleRate::HZ_24K,
    }
}

pub(in crate::edge::telephony) const fn carrier_format(format: Format) -> audio::Format {
    match format {
        Format::Mulaw8k => audio::Format::Pcmu,
        Format::Alaw8k => audio::Format::Pcma,
        Format::L16At8k => audio::Format::Pcm8k,
        Format::L16At16k => audio::Format::Pcm16k,
        Format::L16At24k => audio::Format::Pcm24k,
    }
}

/// Sound on its way in: the carrier's to the session's.
pub(super) struct Ear {
    format: Format,
    resampler: Option<Decoder>,
    bytes: Vec<u8>,
    samples: Vec<i16>,
    room: BytesMut,
}

/// Frames share blocks of so many bytes, so that a frame of its own costs no allocation.
const BLOCK: usize = 8 * 1024;

impl Ear {
    pub(super) fn new(format: Format) -> Self {
        let linear = match format {
            Format::Mulaw8k | Format::Alaw8k | Format::L16At24k => None,
            Format::L16At8k => Some(audio::Format::Pcm8k),
            Format::L16At16k => Some(audio::Format::Pcm16k),
        };
        Self {
            format,
            resampler: linear.map(|format| Decoder::to_rate(format, SampleRate::HZ_24K)),
            bytes: Vec::new(),
            samples: Vec::new(),
            room: BytesMut::new(),
        }
    }

    /// Where a frame is decoded to; given to [`Ear::heard`] next.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How long the frame in the buffer is, in ms.
    pub(super) fn duration_ms(&self) -> u64 {
        self.format.duration_ms(self.bytes.len())
    }

    /// The frame in the buffer, for the session.
    pub(super) fn heard(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.bytes);
        let heard = self.convert(&bytes);
        self.bytes = bytes;
        heard
    }

    /// Sound that came before, for the session.
    pub(super) fn convert(&mut self, bytes: &[u8]) -> Bytes {
        if self.room.capacity() < bytes.len() {
            self.room.reserve(BLOCK.max(bytes.len()));
        }
        match &mut self.resampler {
            None => self.room.extend_from_slice(bytes),
            Some(resampler) => {
                self.samples.clear();
                resampler.push(bytes, &mut self.samples);
                for sample in &self.samples {
                    self.room.extend_from_slice(&sample.to_le_bytes());
                }
            }
        }
        self.room.split().freeze()
    }

    /// So many ms of silence, for the session.
    pub(super) fn silence(&mut self, ms: u64) -> Bytes {
        let silence = vec![self.format.silence(); self.format.bytes_per_ms() * ms as usize];
        self.convert(&silence)
    }
}
