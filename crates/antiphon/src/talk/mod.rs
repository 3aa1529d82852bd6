//! `antiphon talk`: says a recording to a server, as a caller would, and saves what it answers.
//! `main` calls it; people use it to hear a server and to see where the time of a turn goes.
//! It never runs faster than real time, and never prints a key.

mod client;
mod conversation;
#[cfg(feature = "mic")]
mod mic;
mod waterfall;

#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use engine::audio::{Resampler, SampleRate, level, wav};
use gateway::Config;
use url::Url;

use self::{
    client::{Client, Question},
    conversation::Conversation,
};

/// Longest recording that is accepted, in samples per channel: an hour at 48 kHz.
const MAX_SAMPLES: usize = 3600 * 48_000;
/// What counts as speech when the end of the question is looked for, in dBFS.
const SPEECH_DBFS: f32 = -40.0;
/// Window of that search in samples at 24 kHz: 10 ms.
const WINDOW: usize = 240;

/// Whom to talk to, and with what.
#[derive(Debug, Args)]
pub(crate) struct TalkArgs {
    /// Recording to say (WAV, any rate)
    #[arg(long = "in", value_name = "WAV", required_unless_present = "mic")]
    question: Option<PathBuf>,
    /// Where to save the spoken answer (WAV, 24 kHz)
    #[arg(long = "out", value_name = "WAV")]
    answer: Option<PathBuf>,
    /// Server, as http(s):// or ws(s):// [default: the one of this configuration]
    #[arg(long)]
    url: Option<Url>,
    /// API key [default: the bootstrap key, or the key that `make run` keeps in the data directory]
    #[arg(long, env = "ANTIPHON_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Model to ask for
    #[arg(long, default_value = "gpt-realtime")]
    model: String,
    /// Voice of the answer [default: the server's]
    #[arg(long)]
    voice: Option<String>,
    /// What the assistant is told to be
    #[arg(long)]
    instructions: Option<String>,
    /// Silence that ends a turn, in ms
    #[arg(long, default_value_t = 500)]
    silence_ms: u32,
    /// Longest wait for the answer after the recording has been said, in s
    #[arg(long, default_value_t = 60)]
    timeout_s: u64,
    /// Talk through this machine's microphone and loudspeaker until Ctrl-C
    #[cfg_attr(not(feature = "mic"), arg(long, hide = true))]
    #[cfg_attr(feature = "mic", arg(long, conflicts_with = "question"))]
    mic: bool,
}

/// Holds the conversation and prints what was said and when.
pub(crate) async fn run(args: &TalkArgs, config: &Config) -> anyhow::Result<()> {
    let url = address(args.url.as_ref(), &config.server.listen, &args.model)?;
    let Some(key) = key(args, config) else {
        bail!("no API key: give --key, or make one with `antiphon keys create --name talk`")
    };
    let client = Client::connect(&url, &key).await?;
    if args.mic {
        #[cfg(feature = "mic")]
        return mic::run(client, args).await;
        #[cfg(not(feature = "mic"))]
        bail!("this build has no microphone; build it with `--features mic`");
    }
    let Some(path) = &args.question else {
        bail!("give a recording with --in")
    };
    let samples = read(path)?;
    let question = Question {
        speech_end_ms: SampleRate::HZ_24K.duration_ms(speech_end(&samples) as u64),
        samples: &samples,
        patience: Duration::from_secs(args.timeout_s),
        session: session(args),
    };
    let conversation = client.ask(&question).await?;
    report(&conversation, &mut io::stdout().lock())?;
    if conversation.answer.is_empty() {
        bail!("the server did not answer with speech");
    }
    if let Some(path) = &args.answer {
        fs::write(path, wav::write(&conversation.answer, SampleRate::HZ_24K))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The body of `session.update`.
fn session(args: &TalkArgs) -> serde_json::Value {
    let mut session = serde_json::json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "whisper-1"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": args.silence_ms},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}},
        },
    });
    if let Some(voice) = &args.voice {
        session["audio"]["output"]["voice"] = voice.as_str().into();
    }
    if let Some(instructions) = &args.instructions {
        session["instructions"] = instructions.as_str().into();
    }
    session
}

/// The WebSocket address of the realtime endpoint behind `url`, or behind the address this
/// machine's server listens on.
fn address(url: Option<&Url>, listen: &str, model: &str) -> anyhow::Result<Url> {
    let mut url = match url {
        Some(url) => url.clone(),
        // a server that listens everywhere is reached at home
        None => Url::parse(&format!(
            "http://{}",
            listen.replace("0.0.0.0", "127.0.0.1")
        ))
        .context("address of this machine's server")?,
    };
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        other => bail!("--url has scheme {other}, expected http, https, ws or wss"),
    };
    if url.set_scheme(scheme).is_err() {
        bail!("--url cannot be made a WebSocket address");
    }
    if url.path() == "/" {
        url.set_path("/v1/realtime");
    }
    if !url.query_pairs().any(|(name, _)| name == "model") {
        url.query_pairs_mut().append_pair("model", model);
    }
    Ok(url)
}

fn key(args: &TalkArgs, config: &Config) -> Option<String> {
    let given = args.key.clone();
    let bootstrap = || {
        config
            .auth
            .bootstrap_api_key
            .as_ref()
            .map(|key| key.reveal().to_owned())
    };
    // scripts/run.sh keeps the first key there
    let kept = || fs::read_to_string(config.data_dir().join("first-api-key")).ok();
    let key = given.or_else(bootstrap).or_else(kept)?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

/// A recording as mono samples at 24 kHz.
fn read(path: &Path) -> anyhow::Result<Vec<i16>> {
    let tried = || format!("cannot read {}", path.display());
    let bytes = fs::read(path).with_context(tried)?;
    let sound = wav::read(&bytes, MAX_SAMPLES).with_context(tried)?;
    let mut resampler = Resampler::new(sound.rate, SampleRate::HZ_24K);
    let mut samples = Vec::new();
    resampler.push(&sound.samples, &mut samples);
    resampler.flush(&mut samples);
    Ok(samples)
}

/// Index after the last window that is loud enough to be speech; the length when none is.
fn speech_end(samples: &[i16]) -> usize {
    let loud = |window: &[i16]| level::dbfs(level::rms(window)) > SPEECH_DBFS;
    let last = samples.chunks(WINDOW).rposition(loud);
    last.map_or(samples.len(), |window| {
        samples.len().min((window + 1) * WINDOW)
    })
}

/// What was said, and the waterfall.
fn report(conversation: &Conversation, out: &mut impl Write) -> io::Result<()> {
    for heard in &conversation.heard {
        writeln!(out, "you   {}", heard.trim())?;
    }
    writeln!(out, "agent {}", conversation.said.trim())?;
    writeln!(out)?;
    waterfall::print(conversation, out)
}
