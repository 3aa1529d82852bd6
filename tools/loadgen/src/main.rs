//! `loadgen`: callers that speak at the speed of speech, in a process of their own, and what they waited.
//! Run by people and by `scripts/bench.sh`; `docs/performance.md` keeps what it printed.
//! It never decides whether a number is good, and never runs longer than it is told.

mod barge_in;
mod caller;
mod clip;
mod create;
mod drain;
mod event;
mod idle;
mod refuse;
mod report;
mod rooms;
mod server;
mod storm;
mod stream;
mod survey;
mod talk;
mod target;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::{report::Report, target::Target};

/// Paced callers against a realtime server.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    general: General,
    #[command(subcommand)]
    mode: Mode,
}

/// What every mode needs to know.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "command line switches")]
struct General {
    /// Server, as ws://HOST:PORT or http://HOST:PORT
    #[arg(long, global = true, default_value = "ws://127.0.0.1:8080")]
    url: String,
    /// API key
    #[arg(
        long,
        global = true,
        env = "ANTIPHON_API_KEY",
        hide_env_values = true,
        default_value = ""
    )]
    key: String,
    /// Model to ask for
    #[arg(long, global = true, default_value = "gpt-realtime")]
    model: String,
    /// Process of the server: its memory and processor time are reported too
    #[arg(long, global = true)]
    server_pid: Option<u32>,
    /// One JSON object per observation and one for the summary, instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Longest run, in s
    #[arg(long, global = true, default_value_t = 300)]
    limit_s: u64,
    /// Allow a server that is not on this machine
    #[arg(long, global = true)]
    remote: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Ask, wait for the answer, ask again: time from the end of speech to the first reply audio
    Talk(Voice),
    /// Speak into a long answer, then cancel one: time until the server is quiet
    BargeIn(Voice),
    /// Open sockets that say nothing: memory per connection
    Idle(Idle),
    /// Open dialogues of the text survey that wait for their next word: memory per dialogue, time to a reply
    Survey(Survey),
    /// Open sessions and leave them: time from the connection to `session.created`
    Create(Create),
    /// Sound on many sockets at once: what the server adds to an event behind a frame, its memory and its processor time
    Stream(Stream),
    /// Append audio as fast as the server takes it: memory stays bounded
    Storm(Storm),
    /// Knock with bad keys of several shapes: time to the refusal
    Refuse(Refuse),
    /// Chat rooms with many listeners: messages told a second, and how long each takes to reach everybody
    Rooms(Rooms),
    /// SIGTERM in the middle of calls: turns lost, time to exit
    Drain(Voice),
}

/// Who calls and what is said.
#[derive(Debug, Clone, Args)]
struct Voice {
    /// Callers at the same time
    #[arg(long, default_value_t = 1)]
    calls: usize,
    /// Turns of each caller
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// What the callers say (WAV, any rate)
    #[arg(long)]
    wav: PathBuf,
    /// Silence that ends a turn, in ms
    #[arg(long, default_value_t = 200)]
    silence_ms: u32,
    /// What callers send
    #[arg(long, value_enum, default_value_t = Format::Pcm)]
    format: Format,
    /// Pause after the answer has been heard, in ms
    #[arg(long, default_value_t = 1000)]
    gap_ms: u64,
    /// System prompt [default: the server's]
    #[arg(long)]
    instructions: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// 24 kHz, 16 bits
    Pcm,
    /// 8 kHz, G.711 mu-law
    Pcmu,
}

/// Sockets that say nothing.
#[derive(Debug, Args)]
struct Idle {
    /// Sockets to open
    #[arg(long, default_value_t = 1000)]
    sockets: usize,
    /// How long they stay open before memory is read, in ms
    #[arg(long, default_value_t = 3000)]
    settle_ms: u64,
}

/// Dialogues of the text survey.
#[derive(Debug, Args)]
struct Survey {
    /// Dialogues to open
    #[arg(long, default_value_t = 10_000)]
    dialogues: usize,
    /// Where the survey is
    #[arg(long, default_value = "/survey/ws")]
    path: String,
    /// Ask for dialogues that can be gone on with, which the server keeps
    #[arg(long)]
    resume: bool,
    /// How long they stay open before memory is read, in ms
    #[arg(long, default_value_t = 3000)]
    settle_ms: u64,
}

/// Sessions that come and go.
#[derive(Debug, Args)]
struct Create {
    /// Sessions to open
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// So many at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
}

/// Sound on many sockets.
#[derive(Debug, Args)]
struct Stream {
    /// Sockets that stream; a second process takes the half of what one core cannot send
    #[arg(long, default_value_t = 1000)]
    sockets: usize,
    /// Sound in one frame, in ms; 24 kHz, 16 bits
    #[arg(long, default_value_t = 100)]
    frame_ms: u32,
    /// How long is counted, in s
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How long is streamed before that, in s
    #[arg(long, default_value_t = 5)]
    warm_up_s: u64,
    /// Behind every so many frames stands an `input_audio_buffer.clear`, whose answer is timed; it also keeps the
    /// session's buffer small
    #[arg(long, default_value_t = 10)]
    probe_every: usize,
    /// Let the server detect turns (`server_vad`); without this, turn detection is off
    #[arg(long)]
    vad: bool,
}

/// A flood of audio.
#[derive(Debug, Args)]
struct Storm {
    /// Sockets that flood
    #[arg(long, default_value_t = 4)]
    sockets: usize,
    /// How long, in s
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Sound in one append, in ms
    #[arg(long, default_value_t = 5000)]
    append_ms: u32,
}

/// Bad keys.
#[derive(Debug, Args)]
struct Refuse {
    /// Attempts with each shape of key
    #[arg(long, default_value_t = 100)]
    attempts: usize,
    /// A real key in the server's database, to knock with its public id and a wrong secret
    #[arg(long)]
    known: Option<String>,
}

/// Chat rooms.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "a field is the name of its flag")]
struct Rooms {
    /// Rooms
    #[arg(long, default_value_t = 1)]
    rooms: usize,
    /// Sockets in each; the first speaks as well
    #[arg(long, default_value_t = 1000)]
    listeners: usize,
    /// Messages said in each room; 0 opens the sockets and reads memory
    #[arg(long, default_value_t = 200)]
    messages: usize,
    /// Messages a second in each room; 0 is as fast as they come back
    #[arg(long, default_value_t = 0.0)]
    per_second: f64,
    /// Messages of a room that may be on their way
    #[arg(long, default_value_t = 32)]
    window: usize,
    /// Length of a message, in bytes
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// What tokens are signed with
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    secret: String,
    /// Path of the rooms
    #[arg(long, default_value = "/chat")]
    path: String,
    /// How long the sockets stay open before memory is read, in ms
    #[arg(long, default_value_t = 2000)]
    settle_ms: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let target = Target::new(&cli.general).await?;
        let mut report = Report::new(cli.general.json);
        let limit = Duration::from_secs(cli.general.limit_s);
        let running = async {
            match &cli.mode {
                Mode::Talk(voice) => talk::run(&target, voice, &mut report).await,
                Mode::BargeIn(voice) => barge_in::run(&target, voice, &mut report).await,
                Mode::Idle(idle) => idle::run(&target, idle, &mut report).await,
                Mode::Survey(survey) => survey::run(&target, survey, &mut report).await,
                Mode::Create(create) => create::run(&target, create, &mut report).await,
                Mode::Stream(stream) => stream::run(&target, stream, &mut report).await,
                Mode::Storm(storm) => storm::run(&target, storm, &mut report).await,
                Mode::Refuse(refuse) => refuse::run(&target, refuse, &mut report).await,
                Mode::Rooms(rooms) => rooms::run(&target, rooms, &mut report).await,
                Mode::Drain(voice) => drain::run(&target, voice, &mut report).await,
            }
        };
        tokio::time::timeout(limit, running)
            .await
            .with_context(|| format!("not finished within {} s", cli.general.limit_s))?
    })
}
