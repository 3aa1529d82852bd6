//! Client bytes to samples the models hear, and samples a voice produced to client bytes.
//! Called by the realtime, telephony and voice edges, one pair per session.
//! It never mixes streams: each direction keeps its own half sample and filter.

use super::format::{Format, SampleRate};
use super::pcm::{self, PcmReader};
use super::resample::Resampler;

/// Client bytes in one [`Format`] to mono 16-bit samples, as a stream of chunks of any length.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    pcm: PcmReader,
    resampler: Resampler,
    // samples at the client's rate, reused between chunks
    client: Vec<i16>,
}

impl Decoder {
    /// Decodes to 16 kHz, which the voice activity detector and the transcribers hear.
    pub fn new(format: Format) -> Self {
        Self::to_rate(format, SampleRate::HZ_16K)
    }

    /// Decodes to any rate.
    pub fn to_rate(format: Format, rate: SampleRate) -> Self {
        Self {
            format,
            pcm: PcmReader::new(),
            resampler: Resampler::new(format.rate(), rate),
            client: Vec::new(),
        }
    }

    /// What the bytes are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The rate of the samples it produces.
    pub fn rate(&self) -> SampleRate {
        self.resampler.to()
    }

    /// Takes bytes and appends the samples that are ready to `out`. A split sample waits for its
    /// second byte.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<i16>) {
        self.client.clear();
        match self.format.law() {
            Some(law) => law.decode(bytes, &mut self.client),
            None => self.pcm.push(bytes, &mut self.client),
        }
        self.resampler.push(&self.client, out);
    }

    /// Drops half a sample that waits for its second byte: the next byte begins one.
    pub fn realign(&mut self) {
        self.pcm.reset();
    }

    /// Ends the stream: appends what the resampler held back, drops half a sample, starts over.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        self.pcm.reset();
        self.resampler.flush(out);
    }
}

/// Mono 16-bit samples at a source rate to client bytes in one [`Format`], as a stream.
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    resampler: Resampler,
    // samples at the client's rate, reused between chunks
    client: Vec<i16>,
}

impl Encoder {
    /// Encodes samples at the rate `source`, which is that of the voice.
    pub fn new(source: SampleRate, format: Format) -> Self {
        Self {
            format,
            resampler: Resampler::new(source, format.rate()),
            client: Vec::new(),
        }
    }

    /// What the bytes are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The rate of the samples it takes.
    pub fn source(&self) -> SampleRate {
        self.resampler.from()
    }

    /// Takes samples and appends the bytes that are ready to `out`; always whole samples.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        self.client.clear();
        self.resampler.push(samples, &mut self.client);
        self.write(out);
    }

    /// Ends the stream: appends what the resampler held back, and starts over.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.client.clear();
        self.resampler.flush(&mut self.client);
        self.write(out);
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.format.law() {
            Some(law) => law.encode(&self.client, out),
            None => pcm::write_le(&self.client, out),
        }
    }
}
