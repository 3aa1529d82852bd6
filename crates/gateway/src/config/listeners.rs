//! Further addresses, each for one door: clients that dial `/` of a server of their own find it there.
//! Bound by [`crate::run`] beside the main address.
//! Never opens anything itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problem;

/// Most of them; each costs a task and a port.
const MOST: usize = 32;

/// What an address answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Everything that the main address answers.
    All,
    /// The app voice socket, whatever the path.
    Voice,
    /// The survey by text.
    Survey,
    /// Chat rooms, as the original served them.
    Chat,
    /// What the bridge of LeadFlip answers: `/health` in its words, its webhooks, and media streams at any path.
    Telephony,
    /// `/metrics`, `/health` and `/ready`, for an address that only the operator reaches.
    Metrics,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Voice,
        Self::Survey,
        Self::Chat,
        Self::Telephony,
        Self::Metrics,
    ];

    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Voice => "voice",
            Self::Survey => "survey",
            Self::Chat => "chat",
            Self::Telephony => "telephony",
            Self::Metrics => "metrics",
        }
    }
}

/// One entry of `[[listeners]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Which door answers there.
    pub profile: Profile,
    /// Address and port.
    pub address: String,
}

/// `ANTIPHON_LISTENERS=PROFILE=ADDRESS,…` as the list that the file has.
pub(super) fn from_text(text: &str) -> serde_json::Value {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (profile, address) = entry.split_once('=').unwrap_or((entry, ""));
            serde_json::json!({ "profile": profile.trim(), "address": address.trim() })
        })
        .collect()
}

pub(super) fn check(listeners: &[Listener]) -> Result<(), Problem> {
    let problem = |value: &str, expected: String| {
        Err(Problem {
            key: "listeners".into(),
            value: value.to_owned(),
            expected: expected.into(),
        })
    };
    if listeners.len() > MOST {
        return problem(
            &format!("a list of {}", listeners.len()),
            format!("at most {MOST} addresses"),
        );
    }
    for listener in listeners {
        if listener.address.parse::<SocketAddr>().is_err() {
            return problem(
                &listener.address,
                "an address and a port such as 127.0.0.1:3001 in each entry".to_owned(),
            );
        }
    }
    Ok(())
}
