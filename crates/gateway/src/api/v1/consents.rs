//! `/v1/consents`: what people on the telephone have agreed to.
//! Mounted by `api::v1`; any key may note and take back a consent of its tenant.
//! Never finds a person of another tenant.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod show;

use wire::rest::calls::ConsentKind;

use crate::http::ApiError;

/// The kind that a path names.
fn kind(text: &str) -> Result<ConsentKind, ApiError> {
    let known = [ConsentKind::AiCall, ConsentKind::Recording];
    let found = known.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| ApiError::not_found("A consent is one of ai_call, recording."))
}
