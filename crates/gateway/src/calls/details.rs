//! What is kept sealed of a call: numbers of telephones, what it is for, what came of it in words.
//! Written where a call begins and where it was summed up; read by the routes that show calls.
//! Never shows any of it in `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use store::{StoreError, StoredCall};
use wire::rest::calls::{CallSummary, RecordingPolicy, VoicemailPolicy};

use super::CallKey;
use super::transfer::Passing;
use crate::App;

/// The `details` of a stored call.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Who calls, in international form where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What is to be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Instructions for this call alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The called party's time zone, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Longest call in s, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_s: Option<u32>,
    /// What to do when a machine answers.
    pub voicemail: VoicemailPolicy,
    /// Whether it is recorded.
    pub recording: RecordingPolicy,
    /// Whether somebody wants nothing of it kept just now.
    pub recording_paused: bool,
    /// The asker's own values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// A digest of what was asked for, where the request has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_print: Option<String>,
    /// What it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<CallSummary>,
    /// To whom the caller is being passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Passing>,
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Details").finish_non_exhaustive()
    }
}

impl Details {
    /// Those of a call; none of them where they were written by another version and cannot be read.
    pub fn of(call: &StoredCall) -> Self {
        serde_json::from_slice(&call.details).unwrap_or_default()
    }

    /// As they are stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Changes the details of a call that was not dealt with yet, up to `tries` times while others change the call. False when it
/// was, when another attempt has begun, when there is no such call, or when it does not stand still.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn change(
    app: &App,
    key: &CallKey,
    tries: usize,
    change: impl Fn(&mut Details),
) -> Result<bool, StoreError> {
    let sql = &app.store.sql;
    for _ in 0..tries {
        let found = sql.find_call(&key.tenant, &key.id).await?;
        let Some(mut call) =
            found.filter(|call| call.finalized_at.is_none() && call.attempt_number == key.attempt)
        else {
            return Ok(false);
        };
        let mut details = Details::of(&call);
        change(&mut details);
        call.details = details.to_bytes();
        if sql.update_call(&key.tenant, &call, &[]).await? {
            return Ok(true);
        }
    }
    tracing::warn!(
        call = key.id,
        "what is kept of a call cannot be changed: it does not stand still"
    );
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_were_written_and_shown_to_nobody() {
        let details = Details {
            from: Some("+14155550100".to_owned()),
            objective: Some("confirm the visit".to_owned()),
            max_duration_s: Some(60),
            ..Details::default()
        };
        let mut call = StoredCall {
            details: details.to_bytes(),
            ..StoredCall::default()
        };
        assert_eq!(Details::of(&call), details);
        assert!(!format!("{details:?}").contains("4155"));
        call.details = b"of another version".to_vec();
        assert_eq!(Details::of(&call), Details::default());
    }
}
