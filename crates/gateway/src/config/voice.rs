//! `[voice]`: the app voice socket ("Voice V2"): who may call, how long, and for how much.
//! Read by `edge/voice`; the Supabase names of the environment are aliases of these keys.
//! Never shows a secret.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Secret;
use super::check::{Problem, within};
use crate::auth::jwt;
use crate::quota::purse::MAX_DAY_CENTS;

/// By whose prices a session's budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoicePrices {
    /// The four `voice.price_…` keys, whoever does the work.
    #[default]
    Door,
    /// The table of `metering`, and the four keys where it knows no price.
    Providers,
}

/// Whose calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoiceAdmits {
    /// Those of users with a token, and of keys of this server.
    #[default]
    Users,
    /// Everybody's: for development.
    Anybody,
    /// Nobody's yet: calls are announced.
    Soon,
}

/// `[voice]`: the app voice socket at `/voice`, at `/api/voice-v2` and on listeners of the profile `voice`. Budgets are kept
/// for each user; a tenant's plan or its own limits may say something else. 0 is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Voice {
    /// Whose calls are taken: `users`, with a token or a key; `anybody`, without, only while listening on loopback; `soon`,
    /// nobody yet (also `VOICE_CALLS_SOFT_LAUNCH`).
    pub admits: VoiceAdmits,
    /// The pipeline, or `agent:NAME`, that answers where the app does not say; `pipeline.name` when not set.
    pub model: Option<String>,
    /// Instructions of sessions without an agent; `sessions.instructions` when not set.
    pub instructions: Option<String>,
    /// The tenant whose sessions those of users with a token are.
    pub tenant: String,
    /// Its project.
    pub project: String,
    /// Secret that users' tokens are signed with (HS256, HS384, HS512); also `SUPABASE_JWT_SECRET`.
    #[schema(value_type = Option<String>, format = "password")]
    pub token_secret: Option<Secret>,
    /// Where the public keys are that users' tokens are signed with.
    pub token_jwks_url: Option<String>,
    /// The issuer that tokens must name; any when not set.
    pub token_issuer: Option<String>,
    /// The audience that tokens must name; any when not set.
    pub token_audience: Option<String>,
    /// A Supabase project, asked for users whose tokens nothing here can check; also `SUPABASE_URL`.
    pub supabase_url: Option<String>,
    /// Its key for the public; also `SUPABASE_ANON_KEY`.
    #[schema(value_type = Option<String>, format = "password")]
    pub supabase_anon_key: Option<Secret>,
    /// Its key for servers: with it tiers are read, and rows written; also `SUPABASE_SERVICE_ROLE_KEY`.
    #[schema(value_type = Option<String>, format = "password")]
    pub supabase_service_role_key: Option<Secret>,
    /// Whether sessions, messages and usage are written to that project as well.
    pub supabase_mirror: bool,
    /// Subscription tiers that may call, such as `studio`; everybody may when empty.
    pub tiers: Vec<String>,
    /// What a session may cost, in cents of a dollar.
    pub session_budget_cents: u64,
    /// What a user's sessions may cost within any day, in cents of a dollar; over all servers, and whatever is ended.
    pub daily_budget_cents: u64,
    /// From how much of a session's budget on the app is warned, in per cent, 1 to 100.
    pub warn_percent: u64,
    /// How long a session may last, in s, 1 to 86400.
    pub max_session_s: u64,
    /// Sessions that a user may have at the same time, over all servers.
    pub sessions_per_user: u64,
    /// How long a connection may be without a session, in s, 1 to 600.
    pub auth_timeout_s: u64,
    /// How long nothing but pings may come, in s, 1 to 86400.
    pub idle_timeout_s: u64,
    /// Longest answer, in tokens, 1 to 4096.
    pub max_output_tokens: u32,
    /// Earlier messages of a conversation that are read when it goes on, 0 to 100.
    pub history_messages: u32,
    /// Silence that ends a turn, in ms, 100 to 5000.
    pub silence_ms: u32,
    /// By whose prices the budget is used up.
    pub prices: VoicePrices,
    /// A minute of the caller's sound, in millionths of a dollar.
    pub price_audio_minute: u64,
    /// A million tokens read, in millionths of a dollar.
    pub price_million_input_tokens: u64,
    /// A million tokens written, in millionths of a dollar.
    pub price_million_output_tokens: u64,
    /// A million characters spoken, in millionths of a dollar.
    pub price_million_characters: u64,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            admits: VoiceAdmits::Users,
            model: None,
            instructions: None,
            tenant: "default".to_owned(),
            project: "default".to_owned(),
            token_secret: None,
            token_jwks_url: None,
            token_issuer: None,
            token_audience: None,
            supabase_url: None,
            supabase_anon_key: None,
            supabase_service_role_key: None,
            supabase_mirror: false,
            tiers: Vec::new(),
            session_budget_cents: 500,
            daily_budget_cents: 2000,
            warn_percent: 80,
            max_session_s: 1800,
            sessions_per_user: 3,
            auth_timeout_s: 60,
            idle_timeout_s: 600,
            max_output_tokens: 150,
            history_messages: 10,
            silence_ms: 500,
            prices: VoicePrices::Door,
            price_audio_minute: 4_300,
            price_million_input_tokens: 250_000,
            price_million_output_tokens: 1_250_000,
            price_million_characters: 15_000_000,
        }
    }
}

impl Voice {
    /// How users' tokens are checked.
    pub fn tokens(&self) -> jwt::Settings {
        jwt::Settings {
            secret: self.token_secret.clone(),
            keys_url: self.token_jwks_url.clone(),
            issuer: self.token_issuer.clone(),
            audience: self.token_audience.clone(),
        }
    }

    /// What work costs at the prices of this door.
    pub fn rates(&self) -> engine::meter::Rates {
        engine::meter::Rates {
            audio_minute: Some(self.price_audio_minute),
            million_characters: Some(self.price_million_characters),
            million_input_tokens: Some(self.price_million_input_tokens),
            million_output_tokens: Some(self.price_million_output_tokens),
            ..engine::meter::Rates::default()
        }
    }
}

/// The first value of the section that is not accepted.
pub(super) fn check(voice: &Voice, listen: &[&str]) -> Result<(), Problem> {
    let problem = |key: &'static str, value: &str, expected: &'static str| {
        Err(Problem {
            key: key.into(),
            value: value.to_owned(),
            expected: expected.into(),
        })
    };
    within(
        "voice.daily_budget_cents",
        voice.daily_budget_cents,
        0..=MAX_DAY_CENTS,
    )?;
    within("voice.warn_percent", voice.warn_percent, 1..=100)?;
    within("voice.max_session_s", voice.max_session_s, 1..=86_400)?;
    within("voice.auth_timeout_s", voice.auth_timeout_s, 1..=600)?;
    within("voice.idle_timeout_s", voice.idle_timeout_s, 1..=86_400)?;
    within("voice.max_output_tokens", voice.max_output_tokens, 1..=4096)?;
    within("voice.history_messages", voice.history_messages, 0..=100)?;
    within("voice.silence_ms", voice.silence_ms, 100..=5000)?;
    for (key, address) in [
        ("voice.token_jwks_url", &voice.token_jwks_url),
        ("voice.supabase_url", &voice.supabase_url),
    ] {
        let usable = |address: &String| {
            url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        };
        if let Some(address) = address
            && !usable(address)
        {
            return problem(
                key,
                address,
                "an http or https address such as https://project.supabase.co",
            );
        }
    }
    if voice.supabase_mirror
        && (voice.supabase_url.is_none() || voice.supabase_service_role_key.is_none())
    {
        return problem(
            "voice.supabase_mirror",
            "true",
            "false, or voice.supabase_url and voice.supabase_service_role_key with it",
        );
    }
    let is_loopback = |address: &&str| {
        let address = address.parse::<std::net::SocketAddr>();
        address.is_ok_and(|address| address.ip().is_loopback())
    };
    let on_loopback = listen.iter().all(is_loopback);
    if voice.admits == VoiceAdmits::Anybody && !on_loopback {
        return problem(
            "voice.admits",
            "anybody",
            "users, or all addresses on loopback such as 127.0.0.1:8080",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::meter::{Cost, Units};

    /// The price of the whole work in one go, as the original adds it up (spec, D7).
    #[test]
    fn a_minute_a_thousand_tokens_and_a_thousand_characters_cost_two_cents() {
        let units = Units {
            audio_ms: 60_000,
            input_tokens: 1000,
            output_tokens: 500,
            characters: 1000,
            ..Units::default()
        };
        let cost = Voice::default().rates().cost(&units).unwrap();
        assert_eq!(cost, Cost::from_pico_dollars(20_175 * 1_000_000));
        assert_eq!(cost.micro_dollars(), 20_175);
        let dear = Voice {
            price_audio_minute: 8_600,
            price_million_characters: 0,
            ..Voice::default()
        };
        let cost = dear.rates().cost(&units).unwrap();
        assert_eq!(cost.micro_dollars(), 8_600 + 250 + 625);
    }

    fn refused(voice: &Voice) -> Option<String> {
        let listen = ["127.0.0.1:8080", "0.0.0.0:8081"];
        check(voice, &listen).err().map(|it| it.key.into_owned())
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(refused(&Voice::default()), None);
        let wrong = |change: fn(&mut Voice)| {
            let mut voice = Voice::default();
            change(&mut voice);
            refused(&voice)
        };
        let open = wrong(|voice| voice.admits = VoiceAdmits::Anybody);
        assert_eq!(open.as_deref(), Some("voice.admits"));
        let mirror = wrong(|voice| voice.supabase_mirror = true);
        assert_eq!(mirror.as_deref(), Some("voice.supabase_mirror"));
        let address = wrong(|voice| voice.supabase_url = Some("project.supabase.co".to_owned()));
        assert_eq!(address.as_deref(), Some("voice.supabase_url"));
        let warn = wrong(|voice| voice.warn_percent = 0);
        assert_eq!(warn.as_deref(), Some("voice.warn_percent"));
        let home = Voice {
            admits: VoiceAdmits::Anybody,
            ..Voice::default()
        };
        assert!(check(&home, &["127.0.0.1:0", "[::1]:0"]).is_ok());
    }

    #[test]
    fn the_original_s_names_are_aliases() {
        let load = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            crate::config::Config::load(None, pairs)
        };
        let config = load(&[
            ("SUPABASE_URL", "https://project.supabase.co"),
            ("SUPABASE_ANON_KEY", "hunter1"),
            ("SUPABASE_SERVICE_ROLE_KEY", "hunter2"),
            ("SUPABASE_JWT_SECRET", "hunter3"),
            ("VOICE_CALLS_SOFT_LAUNCH", "1"),
        ]);
        let config = config.unwrap();
        let voice = &config.voice;
        assert_eq!(
            voice.supabase_url.as_deref(),
            Some("https://project.supabase.co")
        );
        let secrets = [
            &voice.supabase_anon_key,
            &voice.supabase_service_role_key,
            &voice.token_secret,
        ];
        let secrets = secrets.map(|secret| secret.as_ref().map(Secret::reveal));
        assert_eq!(secrets, [Some("hunter1"), Some("hunter2"), Some("hunter3")]);
        assert_eq!(voice.admits, VoiceAdmits::Soon);
        let printed = config.printed();
        assert!(!printed.contains("hunter"), "{printed}");
        for (text, admits) in [
            ("true", VoiceAdmits::Soon),
            ("false", VoiceAdmits::Users),
            ("0", VoiceAdmits::Users),
        ] {
            let config = load(&[("VOICE_CALLS_SOFT_LAUNCH", text)]).unwrap();
            assert_eq!(config.voice.admits, admits, "{text}");
        }
        let refused = load(&[("VOICE_CALLS_SOFT_LAUNCH", "perhaps")]).unwrap_err();
        assert!(refused.to_string().contains("voice.admits"), "{refused}");
    }
}
