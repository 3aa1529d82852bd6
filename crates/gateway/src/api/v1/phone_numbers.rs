//! `/v1/phone_numbers`: our numbers, and which agent answers each.
//! Mounted by `api::v1`; takes a key that administers the tenant: a number decides where callers end up.
//! Never tells whether another tenant has a number.

pub(super) mod delete;
pub(super) mod list;
pub(super) mod put;

use engine::call::number::E164;
use store::{Line, StoreError};
use wire::rest::calls::{PhoneNumber, PhoneNumberSettings};

use crate::auth::chain;
use crate::http::ApiError;

fn shown(line: Line) -> PhoneNumber {
    PhoneNumber {
        object: "phone_number",
        number: line.number,
        settings: PhoneNumberSettings {
            agent: line.agent,
            provider: line.provider,
            account: Some(line.account).filter(|account| !account.is_empty()),
        },
        created_at: line.created_at.timestamp(),
        updated_at: line.updated_at.timestamp(),
    }
}

/// The number that a path names.
fn number(text: &str) -> Result<E164, ApiError> {
    E164::parse(text)
        .map_err(|error| ApiError::invalid_value("number", format!("Invalid number: {error}.")))
}

/// The database cannot be asked.
fn unreadable(error: StoreError) -> ApiError {
    if error.is_storage() {
        return error.into();
    }
    tracing::error!(error = %chain(&error), "cannot read telephone numbers");
    ApiError::unavailable(
        "service_unavailable",
        "The telephone numbers cannot be read. Try again.",
        1,
    )
}
