//! `[survey]` and `[mail]`: the survey by text, and how its codes are mailed.
//! Read by `survey` and `mail`; documented from these comments.
//! Never opens a file or a connection: what a path leads to is looked at when the server starts.

use engine::survey::Dialect;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{Problem, within};
use super::{Config, Secret};

/// `[survey]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Survey {
    /// Whose questions are asked at `/survey`: a tenant.
    pub tenant: String,
    /// Which clients the door speaks to: `v3c` (a code is requested over HTTP first) or `v1` (the code is mailed when the
    /// address is typed). `?dialect=` in an address chooses for one dialogue.
    pub dialect: String,
    /// A file of questions, TOML or JSON, that is stored at start and asked from then on; those of `/v1/surveys` when unset.
    pub questions_file: Option<String>,
    /// In which words: `compat` (those that clients of the dialect know) or `plain` (our own).
    pub words: String,
    /// A TOML file with your own texts in place of any of these, by their names.
    pub locale_file: Option<String>,
    /// Address of this server as clients see it, such as `https://polls.example`; that of the request when unset. Also
    /// `SERVER_EXTERNAL_URL`.
    pub external_url: Option<String>,
    /// Digits of a code, 4 to 10. Also `VERIFICATION_CODE_LENGTH`.
    pub code_digits: u32,
    /// How long a code counts that was requested over HTTP, in s. Also `PRE_AUTH_CODE_EXPIRY_SECONDS`.
    pub code_ttl_s: u64,
    /// The same for one that was mailed in the dialogue (`v1`), in s. Also `VERIFICATION_CODE_EXPIRY_SECONDS`.
    pub dialogue_code_ttl_s: u64,
    /// Wrong codes after which a code counts no more.
    pub code_attempts: u32,
    /// While a code counts that was mailed so recently, no other is mailed to that address, in s.
    pub code_cooldown_s: u64,
    /// Codes that are mailed to one person within an hour.
    pub codes_per_mailbox_per_hour: u64,
    /// Codes that are mailed within an hour because one network address asks.
    pub codes_per_ip_per_hour: u64,
    /// Whether `ann+tag@example.com` is the same person as `ann@example.com`.
    pub plus_tags_are_one_person: bool,
    /// Dialogues at the same time; a further one is refused with 503.
    pub max_dialogues: usize,
    /// Dialogues of one network address at the same time, of IPv6 the first 64 bits; 0 is no limit. This machine's own
    /// addresses may have any number.
    pub dialogues_per_ip: usize,
    /// Frames that one dialogue may send within a minute; what comes beyond that is answered and not looked at.
    pub frames_per_minute: u64,
    /// Largest frame, in bytes; a larger one ends the dialogue (1009).
    pub frame_bytes: usize,
    /// How long a dialogue is kept whose client may come back (`?resume=`), in s. Also `REDIS_SESSION_TTL_SECONDS`.
    pub session_ttl_s: u64,
    /// How long after the last word the server closes, in s.
    pub close_after_s: u64,
    /// A client that does not even answer pings is gone after so long, in s.
    pub idle_s: u64,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            tenant: crate::auth::DEFAULT_TENANT.to_owned(),
            dialect: Dialect::V3c.name().to_owned(),
            questions_file: None,
            words: "compat".to_owned(),
            locale_file: None,
            external_url: None,
            code_digits: 6,
            code_ttl_s: 600,
            dialogue_code_ttl_s: 300,
            code_attempts: 3,
            code_cooldown_s: 60,
            codes_per_mailbox_per_hour: 5,
            codes_per_ip_per_hour: 60,
            plus_tags_are_one_person: true,
            max_dialogues: 50_000,
            dialogues_per_ip: 100,
            frames_per_minute: 240,
            frame_bytes: 64 * 1024,
            session_ttl_s: 3600,
            close_after_s: 20,
            idle_s: 240,
        }
    }
}

/// `[mail]`
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent settings, named at every use"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// The SMTP server; no mail is sent when unset. Also `SMTP_HOST`.
    pub host: Option<String>,
    /// Its port. On 465 the connection is TLS from its beginning, on others after STARTTLS. Also `SMTP_PORT`.
    pub port: u16,
    /// Name to log in with; nobody logs in when unset. Also `SMTP_USERNAME`.
    pub username: Option<String>,
    /// Password to log in with. Also `SMTP_PASSWORD`.
    #[schema(value_type = Option<String>, format = "password")]
    pub password: Option<Secret>,
    /// Address that mails come from. Also `SMTP_SENDER_EMAIL`.
    pub sender: Option<String>,
    /// Whether the connection must be TLS; a server that offers none is sent nothing then. Also `SMTP_USE_TLS`.
    pub use_tls: bool,
    /// Whether TLS begins with the connection on this port as well, as it always does on 465.
    pub implicit_tls: bool,
    /// A PEM file with certificates of authorities to trust beside the system's, for a server of your own.
    pub ca_file: Option<String>,
    /// How long the server may take for one step, in ms.
    pub timeout_ms: u64,
    /// Mails that may wait to be sent; a further one is refused.
    pub max_waiting: usize,
    /// For development: codes are written to this terminal instead of mailed, while `mail.host` is unset and
    /// `server.listen` is a loopback address.
    pub print_codes: bool,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            host: None,
            port: 587,
            username: None,
            password: None,
            sender: None,
            use_tls: true,
            implicit_tls: false,
            ca_file: None,
            timeout_ms: 10_000,
            max_waiting: 1000,
            print_codes: false,
        }
    }
}

/// The words that may be chosen.
const WORDS: [&str; 2] = ["compat", "plain"];

pub(super) fn check(config: &Config) -> Result<(), Problem> {
    check_survey(&config.survey)?;
    check_mail(config)
}

fn check_survey(survey: &Survey) -> Result<(), Problem> {
    if Dialect::parse(&survey.dialect).is_none() {
        return Err(problem("survey.dialect", &survey.dialect, "v3c or v1"));
    }
    if !WORDS.contains(&&*survey.words) {
        return Err(problem("survey.words", &survey.words, "compat or plain"));
    }
    if let Some(base) = &survey.external_url
        && !url::Url::parse(base).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host()
        })
    {
        let expected = "the address that clients use, such as https://polls.example";
        return Err(problem("survey.external_url", base, expected));
    }
    within("survey.code_digits", survey.code_digits, 4..=10)?;
    within("survey.code_ttl_s", survey.code_ttl_s, 10..=86_400)?;
    within(
        "survey.dialogue_code_ttl_s",
        survey.dialogue_code_ttl_s,
        10..=86_400,
    )?;
    within("survey.code_attempts", survey.code_attempts, 1..=20)?;
    within("survey.code_cooldown_s", survey.code_cooldown_s, 0..=3600)?;
    within(
        "survey.codes_per_mailbox_per_hour",
        survey.codes_per_mailbox_per_hour,
        1..=1000,
    )?;
    within(
        "survey.codes_per_ip_per_hour",
        survey.codes_per_ip_per_hour,
        1..=1_000_000,
    )?;
    within("survey.max_dialogues", survey.max_dialogues, 1..=1_000_000)?;
    within(
        "survey.frames_per_minute",
        survey.frames_per_minute,
        1..=1_000_000,
    )?;
    within("survey.frame_bytes", survey.frame_bytes, 256..=16 << 20)?;
    within("survey.session_ttl_s", survey.session_ttl_s, 10..=86_400)?;
    within("survey.close_after_s", survey.close_after_s, 1..=3600)?;
    within("survey.idle_s", survey.idle_s, 31..=86_400)
}

fn check_mail(config: &Config) -> Result<(), Problem> {
    let mail = &config.mail;
    within("mail.timeout_ms", mail.timeout_ms, 100..=120_000)?;
    within("mail.max_waiting", mail.max_waiting, 1..=100_000)?;
    if mail.host.is_some() && mail.sender.as_deref().is_none_or(str::is_empty) {
        let expected = "the address that mails come from, for mail.host is set";
        return Err(problem("mail.sender", "not set", expected));
    }
    let sender = mail.sender.as_deref().filter(|it| !it.is_empty());
    if sender.is_some_and(|sender| sender.parse::<lettre::message::Mailbox>().is_err()) {
        let expected = "an address such as polls@example.com or Polls <polls@example.com>";
        return Err(problem("mail.sender", "(no address)", expected));
    }
    if mail.username.is_some() != mail.password.is_some() {
        let expected = "both mail.username and mail.password, or neither";
        return Err(problem("mail.password", Secret::HIDDEN, expected));
    }
    let is_local = |listen: &str| {
        let address = listen.parse::<std::net::SocketAddr>();
        address.is_ok_and(|address| address.ip().is_loopback())
    };
    let listeners = config.listeners.iter().map(|listener| &listener.address);
    let mut addresses = listeners.chain([&config.server.listen]);
    if mail.print_codes && (mail.host.is_some() || !addresses.all(|it| is_local(it))) {
        let expected =
            "false, unless mail.host is unset and only loopback addresses are listened on";
        return Err(problem("mail.print_codes", "true", expected));
    }
    Ok(())
}

fn problem(key: &'static str, value: &str, expected: &'static str) -> Problem {
    Problem {
        key: key.into(),
        value: value.to_owned(),
        expected: expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};

    fn load(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let owned = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(None, owned)
    }

    #[test]
    fn the_names_that_operators_of_the_originals_know_are_taken() {
        let config = load(&[
            ("SMTP_HOST", "mail.example"),
            ("SMTP_PORT", "2525"),
            ("SMTP_USERNAME", "polls"),
            ("SMTP_PASSWORD", "hunter2 hunter2"),
            ("SMTP_SENDER_EMAIL", "Polls <polls@example.com>"),
            ("SMTP_USE_TLS", "1"),
            ("SERVER_EXTERNAL_URL", "https://polls.example"),
            ("VERIFICATION_CODE_LENGTH", "8"),
            ("VERIFICATION_CODE_EXPIRY_SECONDS", "301"),
            ("PRE_AUTH_CODE_EXPIRY_SECONDS", "601"),
            ("REDIS_SESSION_TTL_SECONDS", "3601"),
        ])
        .unwrap();
        let (mail, survey) = (&config.mail, &config.survey);
        assert_eq!(
            (mail.host.as_deref(), mail.port),
            (Some("mail.example"), 2525)
        );
        assert!(mail.use_tls);
        let times = (
            survey.code_ttl_s,
            survey.dialogue_code_ttl_s,
            survey.session_ttl_s,
        );
        assert_eq!((survey.code_digits, times), (8, (601, 301, 3601)));
        assert!(!config.printed().contains("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!load(&[("SMTP_USE_TLS", "false")]).unwrap().mail.use_tls);
        let error = load(&[("SMTP_PORT", "smtp")]).unwrap_err().to_string();
        assert!(error.starts_with("mail.port is"), "{error}");
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        for (environment, key) in [
            (&[("SMTP_HOST", "mail.example")][..], "mail.sender"),
            (&[("SMTP_SENDER_EMAIL", "polls at example")], "mail.sender"),
            (&[("SMTP_USERNAME", "polls")], "mail.password"),
            (&[("ANTIPHON_SURVEY__DIALECT", "v2")], "survey.dialect"),
            (&[("ANTIPHON_SURVEY__WORDS", "loud")], "survey.words"),
            (&[("SERVER_EXTERNAL_URL", "polls")], "survey.external_url"),
            (&[("VERIFICATION_CODE_LENGTH", "3")], "survey.code_digits"),
            (
                &[
                    ("ANTIPHON_MAIL__PRINT_CODES", "true"),
                    ("ANTIPHON_LISTEN", "0.0.0.0:8080"),
                ],
                "mail.print_codes",
            ),
            (
                &[
                    ("ANTIPHON_MAIL__PRINT_CODES", "true"),
                    ("ANTIPHON_LISTENERS", "survey=0.0.0.0:8765"),
                ],
                "mail.print_codes",
            ),
        ] {
            let error = load(environment).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} is")), "{error}");
        }
        assert!(load(&[("ANTIPHON_MAIL__PRINT_CODES", "true")]).is_ok());
    }
}
