//! `/v1/do_not_call`: whom a tenant must not call.
//! Mounted by `api::v1`; any key may add somebody, and an administrator's takes them off.
//! Never says whether another tenant may call somebody.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;

use engine::call::number::E164;
use serde_json::Value;
use store::DoNotCall as Stored;
use wire::rest::calls::DoNotCall;

use crate::http::ApiError;

/// The number, in the one form in which it is looked for.
pub(super) fn number(text: &str) -> Result<E164, ApiError> {
    E164::parse(text)
        .map_err(|error| ApiError::invalid_value("number", format!("Invalid 'number': {error}.")))
}

fn shown(stored: &Stored) -> DoNotCall {
    let content: Value = serde_json::from_slice(&stored.content).unwrap_or_default();
    let text = |key: &str| content[key].as_str().map(str::to_owned);
    DoNotCall {
        number: text("number").unwrap_or_default(),
        note: text("note"),
        source: Some(stored.source.clone()),
        created_at: Some(stored.created_at.timestamp()),
    }
}
