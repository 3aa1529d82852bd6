//! `antiphon talk --mic`: a conversation through this machine's own microphone and loudspeaker.
//! `talk` calls it when it was built with the feature `mic`.
//! It never records: what the microphone hears goes to the server and nowhere else.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use cpal::{
    FromSample, I24, SampleFormat, SizedSample, Stream, StreamConfig,
    traits::{DeviceTrait, HostTrait as _, StreamTrait as _},
};
use engine::audio::{Resampler, SampleRate};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    TalkArgs,
    client::Client,
    conversation::{Conversation, Step},
    session,
};

/// Blocks of sound waiting for the socket; when it stalls longer, the newest are dropped.
const WAITING_BLOCKS: usize = 256;

/// Sound on its way to the loudspeaker, mono at the loudspeaker's rate.
#[derive(Debug, Default)]
struct Queue {
    samples: VecDeque<i16>,
    /// Samples of the present answer that were played.
    played: u64,
}

/// The loudspeaker's end of the line.
#[derive(Clone)]
struct Speaker {
    queue: Arc<Mutex<Queue>>,
    rate: SampleRate,
}

impl Speaker {
    /// Plays samples at 24 kHz after what is already waiting.
    fn play(&self, samples: &[i16], resampler: &mut Resampler) {
        let mut converted = Vec::new();
        resampler.push(samples, &mut converted);
        self.queue().samples.extend(converted);
    }

    /// Falls silent at once, and says how much of the present answer was heard, in ms; `None` when
    /// nothing was left to be played.
    fn hush(&self) -> Option<u64> {
        let mut queue = self.queue();
        let cut = !queue.samples.is_empty();
        queue.samples.clear();
        cut.then(|| self.rate.duration_ms(queue.played))
    }

    /// A new answer begins.
    fn begin(&self) {
        self.queue().played = 0;
    }

    /// From the protocol's 24 kHz to the loudspeaker's rate.
    fn resampler(&self) -> Resampler {
        Resampler::new(SampleRate::HZ_24K, self.rate)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Talks until Ctrl-C or until the server ends the connection.
pub(super) async fn run(client: Client, args: &TalkArgs) -> anyhow::Result<()> {
    let (sender, heard) = mpsc::channel(WAITING_BLOCKS);
    let host = cpal::default_host();
    // a stream plays as long as it lives
    let (_microphone, rate) = microphone(&host, sender)?;
    let (_loudspeaker, speaker) = loudspeaker(&host)?;
    writeln!(
        io::stderr(),
        "speak; Ctrl-C ends the conversation. Wear headphones: nothing cancels the echo"
    )?;
    let resampler = Resampler::new(rate, SampleRate::HZ_24K);
    let line = Line {
        client,
        heard,
        resampler,
        speaker,
    };
    tokio::select! {
        ended = line.converse(session(args)) => ended,
        stopped = tokio::signal::ctrl_c() => stopped.context("cannot wait for Ctrl-C"),
    }
}

/// Microphone, server and loudspeaker, connected.
struct Line {
    client: Client,
    heard: mpsc::Receiver<Vec<i16>>,
    /// From the microphone's rate to the protocol's.
    resampler: Resampler,
    speaker: Speaker,
}

impl Line {
    /// Carries sound both ways until either end is gone. When the person speaks over an answer, the
    /// loudspeaker falls silent and the server is told how much of the answer was heard.
    async fn converse(mut self, session: serde_json::Value) -> anyhow::Result<()> {
        let mut conversation = Conversation::default();
        let mut to_speaker = self.speaker.resampler();
        let mut printed = 0;
        self.client
            .send(&json!({"type": "session.update", "session": session}))
            .await?;
        loop {
            tokio::select! {
                block = self.heard.recv() => {
                    let Some(block) = block else { return Ok(()) };
                    let mut samples = Vec::new();
                    self.resampler.push(&block, &mut samples);
                    self.client.append(&samples).await?;
                }
                step = self.client.next(&mut conversation) => match step? {
                    Step::Refused(reason) => bail!("the server refused: {reason}"),
                    Step::Began => self.speaker.begin(),
                    Step::SpokenOver => self.fall_silent(&conversation).await?,
                    Step::On | Step::Configured => {}
                }
            }
            self.speaker
                .play(&std::mem::take(&mut conversation.answer), &mut to_speaker);
            for line in conversation.heard.iter().skip(printed) {
                // a closed terminal does not end the conversation
                let _ = writeln!(io::stdout(), "you   {}", line.trim());
            }
            printed = conversation.heard.len();
            if conversation.stages.done.take().is_some() {
                let _ = writeln!(io::stdout(), "agent {}", conversation.said.trim());
            }
        }
    }

    async fn fall_silent(&mut self, conversation: &Conversation) -> anyhow::Result<()> {
        let (Some(heard_ms), Some(item)) = (self.speaker.hush(), &conversation.item) else {
            return Ok(());
        };
        let truncate = json!({
            "type": "conversation.item.truncate",
            "item_id": item,
            "content_index": 0,
            "audio_end_ms": heard_ms,
        });
        self.client.send(&truncate).await
    }
}

fn microphone(
    host: &cpal::Host,
    sender: mpsc::Sender<Vec<i16>>,
) -> anyhow::Result<(Stream, SampleRate)> {
    let device = host.default_input_device().context("no microphone")?;
    let config = device
        .default_input_config()
        .context("the microphone does not say its format")?;
    let format = config.sample_format();
    let config = StreamConfig::from(config);
    let rate = SampleRate::new(config.sample_rate).context("sample rate of the microphone")?;
    let stream = match format {
        SampleFormat::I16 => input::<i16>(&device, config, sender),
        SampleFormat::I24 => input::<I24>(&device, config, sender),
        SampleFormat::I32 => input::<i32>(&device, config, sender),
        SampleFormat::F32 => input::<f32>(&device, config, sender),
        other => bail!("the microphone speaks {other}, expected 16, 24 or 32 bits, or float"),
    };
    let stream = stream.context("cannot open the microphone")?;
    stream.play().context("cannot start the microphone")?;
    Ok((stream, rate))
}

fn input<T>(
    device: &cpal::Device,
    config: StreamConfig,
    sender: mpsc::Sender<Vec<i16>>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample,
    i16: FromSample<T>,
{
    let channels = usize::from(config.channels);
    let hear = move |samples: &[T], _: &cpal::InputCallbackInfo| {
        let first = samples.chunks(channels).filter_map(<[T]>::first);
        let block = first.map(|sample| i16::from_sample_(*sample)).collect();
        // a stalled socket loses sound; a blocked sound card loses the device
        let _ = sender.try_send(block);
    };
    device.build_input_stream(config, hear, complain, None)
}

fn loudspeaker(host: &cpal::Host) -> anyhow::Result<(Stream, Speaker)> {
    let device = host.default_output_device().context("no loudspeaker")?;
    let config = device
        .default_output_config()
        .context("the loudspeaker does not say its format")?;
    let format = config.sample_format();
    let config = StreamConfig::from(config);
    let rate = SampleRate::new(config.sample_rate).context("sample rate of the loudspeaker")?;
    let speaker = Speaker {
        queue: Arc::default(),
        rate,
    };
    let stream = match format {
        SampleFormat::I16 => output::<i16>(&device, config, speaker.clone()),
        SampleFormat::I24 => output::<I24>(&device, config, speaker.clone()),
        SampleFormat::I32 => output::<i32>(&device, config, speaker.clone()),
        SampleFormat::F32 => output::<f32>(&device, config, speaker.clone()),
        other => bail!("the loudspeaker speaks {other}, expected 16, 24 or 32 bits, or float"),
    };
    let stream = stream.context("cannot open the loudspeaker")?;
    stream.play().context("cannot start the loudspeaker")?;
    Ok((stream, speaker))
}

fn output<T>(
    device: &cpal::Device,
    config: StreamConfig,
    speaker: Speaker,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample + FromSample<i16>,
{
    let channels = usize::from(config.channels);
    let speak = move |frames: &mut [T], _: &cpal::OutputCallbackInfo| {
        let mut queue = speaker.queue();
        for frame in frames.chunks_mut(channels) {
            let sample = queue.samples.pop_front();
            queue.played += u64::from(sample.is_some());
            frame.fill(T::from_sample_(sample.unwrap_or(0)));
        }
    };
    device.build_output_stream(config, speak, complain, None)
}

/// A sound card's complaint; it usually goes on afterwards.
fn complain(error: cpal::Error) {
    let _ = writeln!(io::stderr(), "sound card: {error}");
}
