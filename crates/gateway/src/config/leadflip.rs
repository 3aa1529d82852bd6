//! `[leadflip]`: where LeadFlip's own tables are, for a server that stands in for its bridge.
//! Read by the outbox's work on these tables.
//! Never shows the key.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problem;
use super::{Config, Secret};

/// `[leadflip]`: keeping the tables of a LeadFlip installation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Leadflip {
    /// Address of the `PostgREST` endpoint with the tables `calls` and `leads`, of a Supabase project for example: they follow
    /// calls that are over. Nothing happens when unset. Also `NEXT_PUBLIC_SUPABASE_URL`.
    pub tables_url: Option<String>,
    /// The key that may change them; also `SUPABASE_SERVICE_ROLE_KEY`.
    #[schema(value_type = Option<String>, format = "password")]
    pub tables_key: Option<Secret>,
}

/// Names of LeadFlip's deployment and the keys they stand for.
pub(super) const ALIASES: [(&str, &str); 2] = [
    ("NEXT_PUBLIC_SUPABASE_URL", "leadflip.tables_url"),
    ("SUPABASE_SERVICE_ROLE_KEY", "leadflip.tables_key"),
];

/// The first value of this section that is not accepted.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let Some(url) = &config.leadflip.tables_url else {
        return Ok(());
    };
    if url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        return Ok(());
    }
    Err(Problem {
        key: "leadflip.tables_url".into(),
        value: url.clone(),
        expected: "an http or https address, without a path".into(),
    })
}
