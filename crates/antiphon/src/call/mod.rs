//! `antiphon call`: calls a server as a telephone carrier would, says a recording, and listens.
//! `main` calls it; people use it to try their telephone without a carrier, and to hear how long an answer takes.
//! It never runs faster than real time, plays what it is sent as a carrier does, and never prints a key.

mod buffer;
mod document;
mod line;
mod timing;

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use engine::audio::g711::Law;
use engine::audio::{Resampler, SampleRate, wav};
use gateway::Config;
use gateway::edge::telephony::trust::twilio;
use url::Url;

use self::document::Document;
use self::line::Line;

/// Longest recording that is accepted, in samples per channel: an hour at 48 kHz.
const MAX_SAMPLES: usize = 3600 * 48_000;

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Brand {
    Twilio,
    #[value(name = "signalwire")]
    SignalWire,
}

impl Brand {
    const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::SignalWire => "signalwire",
        }
    }

    /// The header that it signs in.
    const fn header(self) -> &'static str {
        match self {
            Self::Twilio => "x-twilio-signature",
            Self::SignalWire => "x-signalwire-signature",
        }
    }

    /// An id in its form.
    fn id(self, prefix: &str, number: u128) -> String {
        let digits = format!("{number:032x}");
        match self {
            Self::Twilio => format!("{prefix}{digits}"),
            Self::SignalWire => {
                let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
                parts.join("-")
            }
        }
    }
}

/// Whom to call, and with what.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// Recording to say once the greeting is over (WAV, any rate)
    #[arg(long, value_name = "WAV")]
    wav: PathBuf,
    /// Carrier to be
    #[arg(long, value_enum, default_value = "twilio")]
    carrier: Brand,
    /// Where to save what was heard (WAV, 8 kHz)
    #[arg(long, value_name = "WAV")]
    out: Option<PathBuf>,
    /// Server, as http(s):// [default: `telephony.external_url`, or the address of this configuration]
    #[arg(long)]
    url: Option<Url>,
    /// Number to call [default: the first of telephony.numbers]
    #[arg(long)]
    to: Option<String>,
    /// Number that calls
    #[arg(long, default_value = "+14155550123")]
    from: String,
    /// What the carrier signs with [default: `auth_token` or `signing_key` of `telephony.accounts.CARRIER`]
    #[arg(long, env = "ANTIPHON_CARRIER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Keys to press before the recording is said
    #[arg(long)]
    keys: Option<String>,
    /// Longest call, in s
    #[arg(long, default_value_t = 60)]
    timeout_s: u64,
    /// Silence behind the answer after which to hang up, in ms
    #[arg(long, default_value_t = 2500)]
    quiet_ms: u64,
}

/// What a call is made with.
struct Caller<'a> {
    args: &'a CallArgs,
    to: String,
    token: Option<String>,
    sid: String,
}

/// Calls, and prints what happened and when.
pub(crate) async fn run(args: &CallArgs, config: &Config) -> anyhow::Result<()> {
    let question = read(&args.wav)?;
    let server = server(args, config)?;
    let to = args.to.clone().or_else(|| {
        let first = config.telephony.numbers.first();
        first.map(|number| number.number.clone())
    });
    let caller = Caller {
        args,
        to: to.context("no number to call: give --to")?,
        token: token(args, config),
        sid: args.carrier.id("CA", fresh()),
    };
    let document = caller.ask(&server).await?;
    let line = Line::open(&caller, &document).await?;
    let heard = line.talk(&question, &mut io::stdout()).await?;
    if let Some(status) = &document.status_callback {
        // the server has closed or will: what it says to a report changes nothing here
        let _ = caller.post(status, "completed").await;
    }
    if let Some(path) = &args.out {
        let mut samples = Vec::new();
        Law::Mu.decode(&heard.sound, &mut samples);
        fs::write(path, wav::write(&samples, SampleRate::HZ_8K))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut out = io::stdout().lock();
    timing::print(&heard, &mut out)?;
    if let Some(call) = document.parameter("callId") {
        writeln!(out, "call {call}: GET /v1/calls/{call} has what was said")?;
    }
    if heard.answered_ms.is_none() {
        bail!("the server did not answer the recording with speech");
    }
    Ok(())
}

impl Caller<'_> {
    /// Asks the server what to do with the call.
    async fn ask(&self, server: &Url) -> anyhow::Result<Document> {
        let path = format!("telephony/{}/answer", self.args.carrier.name());
        let url = server.join(&path).context("--url cannot be used")?;
        let text = self.post(url.as_str(), "ringing").await?;
        let document = Document::parse(&text).context("the server's answer cannot be read")?;
        if let Some(reason) = &document.rejected {
            bail!(
                "the server rejects the call ({reason}): is {} one of telephony.numbers, or of /v1/phone_numbers?",
                self.to
            );
        }
        Ok(document)
    }

    /// Posts a report, signed where there is something to sign with.
    async fn post(&self, url: &str, status: &str) -> anyhow::Result<String> {
        let account = self.args.carrier.id("AC", 1);
        let fields = [
            ("AccountSid", account.as_str()),
            ("CallSid", &self.sid),
            ("CallStatus", status),
            ("Direction", "inbound"),
            ("From", &self.args.from),
            ("To", &self.to),
        ];
        let client = providers::http::client().context("cannot make requests")?;
        let mut request = client.post(url).form(&fields);
        if let Some(token) = &self.token {
            let signature = twilio::sign(url, &fields, token.as_bytes());
            request = request.header(self.args.carrier.header(), signature);
        }
        let response = request.send().await.context("the server is not there")?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        if status.as_u16() == 403 {
            bail!(
                "the server does not believe that this is the carrier: give --token, or try it with telephony.allow_unsigned on loopback\n{text}"
            );
        }
        if !status.is_success() {
            bail!("the server answers {status}: {text}");
        }
        Ok(text)
    }
}

/// The server's address, with a slash at its end.
fn server(args: &CallArgs, config: &Config) -> anyhow::Result<Url> {
    let own = format!(
        "http://{}",
        config.server.listen.replace("0.0.0.0", "127.0.0.1")
    );
    let url = match (&args.url, &config.telephony.external_url) {
        (Some(url), _) => url.clone(),
        (None, Some(url)) => Url::parse(url).context("telephony.external_url")?,
        (None, None) => Url::parse(&own).context("address of this machine's server")?,
    };
    if !matches!(url.scheme(), "http" | "https") {
        bail!("--url must begin with http:// or https://");
    }
    Ok(url)
}

fn token(args: &CallArgs, config: &Config) -> Option<String> {
    let account = config.telephony.accounts.get(args.carrier.name());
    let own = account.and_then(|account| match args.carrier {
        Brand::Twilio => account.auth_token.as_ref(),
        Brand::SignalWire => account.signing_key.as_ref().or(account.auth_token.as_ref()),
    });
    let given = args.token.clone();
    given.or_else(|| own.map(|secret| secret.reveal().to_owned()))
}

/// A recording in mu-law.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let tried = || format!("cannot read {}", path.display());
    let bytes = fs::read(path).with_context(tried)?;
    let sound = wav::read(&bytes, MAX_SAMPLES).with_context(tried)?;
    let mut resampler = Resampler::new(sound.rate, SampleRate::HZ_8K);
    let mut samples = Vec::new();
    resampler.push(&sound.samples, &mut samples);
    resampler.flush(&mut samples);
    let mut bytes = Vec::new();
    Law::Mu.encode(&samples, &mut bytes);
    Ok(bytes)
}

/// A number that no other call has.
fn fresh() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    (half() << 64) | half()
}
