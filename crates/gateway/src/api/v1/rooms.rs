//! `/v1/rooms`: chat rooms, for the applications that let people into them.
//! Mounted by `api::v1`.
//! Never open to another tenant than the one whose rooms they are.

pub(crate) mod messages;
pub(crate) mod tokens;

use axum::http::StatusCode;

use crate::App;
use crate::auth::Principal;
use crate::http::ApiError;

/// Only the tenant whose rooms they are gets in.
fn admit(app: &App, who: &Principal, room: &str) -> Result<(), ApiError> {
    if who.tenant != app.config.chat.tenant {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "insufficient_permissions",
            "The chat rooms of this server belong to another tenant.",
        ));
    }
    if !crate::edge::chat::is_usable(room) {
        return Err(ApiError::invalid_value(
            "id",
            "A room's id has 1 to 128 characters, and no control characters.",
        ));
    }
    Ok(())
}
