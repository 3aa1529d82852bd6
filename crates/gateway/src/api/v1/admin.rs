//! `/v1/admin`: what whoever administers a tenant, or the installation, does without a shell on the server.
//! Mounted by `api::v1`; takes keys with the scope `tenant:admin`.
//! Never reaches beyond the tenant of the key that asks, unless an operator's key asks: one of the tenant `default`.

pub(super) mod audit;
pub(super) mod keys;
pub(super) mod projects;
pub(super) mod tenants;

use crate::http::ApiError;

/// Longest name.
const MAX_NAME: usize = 100;

/// A name for people, without the blanks around it.
fn name(text: &str) -> Result<String, ApiError> {
    let name = text.trim();
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME || name.chars().any(char::is_control) {
        let message = format!("A name has 1 to {MAX_NAME} characters, none of them for control.");
        return Err(ApiError::invalid_value("name", message));
    }
    Ok(name.to_owned())
}

/// An id that somebody chose.
fn id(text: String) -> Result<String, ApiError> {
    if crate::tenants::is_id(&text) {
        return Ok(text);
    }
    Err(ApiError::invalid_value(
        "id",
        "An id has 3 to 50 of the characters a to z, 0 to 9 and -, and begins with a letter.",
    ))
}
