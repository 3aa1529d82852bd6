//! Recordings that are complete: where their files are, who is told of them, and when they are removed.
//! Called by the writer, by the routes of recordings and by the outbox.
//! Never leaves a row whose file was removed. Servers that share a database share the folder of recordings as well.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use store::{Effect, NewEffect, Recording, Retries, StoreError};
use wire::rest::calls::webhook::RecordingNews;

use crate::App;
use crate::auth::chain;
use crate::calls::CallKey;
use crate::dialler::announce;
use crate::outbox::{Failed, Work};

/// What recordings are.
const CONTENT_TYPE: &str = "audio/wav";
/// The topic of their removal.
const TOPIC: &str = "recording.expiry";

/// A file that is complete.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) duration_ms: u64,
    pub(super) bytes: u64,
}

/// Where a file is, as it stands sealed with its row.
#[derive(Serialize, Deserialize)]
struct Location {
    /// Its path below the folder of recordings.
    file: String,
}

/// A recording that can be read.
#[derive(Debug)]
pub struct Kept {
    /// Its row.
    pub recording: Recording,
    /// Its file.
    pub path: PathBuf,
}

/// The path of a recording below the folder. Names of tenants are ours to choose, and are written so that none is a path.
fn below(tenant: &str, id: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let folder: String = tenant.chars().map(safe).collect();
    format!("{folder}/{id}.wav")
}

/// Where a new recording is written.
pub(super) fn path(app: &App, tenant: &str, id: &str) -> PathBuf {
    folder(app).join(below(tenant, id))
}

fn folder(app: &App) -> PathBuf {
    let own = app.config.recordings.folder.as_deref();
    own.map_or_else(|| app.config.data_dir().join("recordings"), PathBuf::from)
}

/// Enters a recording, has it removed in time, and tells of it.
pub(super) async fn keep(app: &Arc<App>, call: &CallKey, made: Made) {
    let kept = store_row(app, call, &made).await;
    let result = match &kept {
        Ok(true) => "kept",
        Ok(false) => "gone",
        Err(_) => "failed",
    };
    app.metrics.calls().recorded(result);
    if let Err(error) = &kept {
        let error = chain(error);
        tracing::error!(
            call = call.id,
            error,
            "a recording cannot be entered, and is removed"
        );
    }
    if !matches!(kept, Ok(true)) {
        let _ = tokio::fs::remove_file(&made.path).await;
    }
}

async fn store_row(app: &Arc<App>, call: &CallKey, made: &Made) -> Result<bool, StoreError> {
    let now = app.clock.utc();
    let location = Location {
        file: below(&call.tenant, &made.id),
    };
    let expires_at = now + TimeDelta::days(app.config.recordings.retention_days.into());
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let recording = Recording {
        id: made.id.clone(),
        call: call.id.clone(),
        content_type: CONTENT_TYPE.to_owned(),
        channels: 2,
        duration_ms: whole(made.duration_ms),
        bytes: whole(made.bytes),
        location: serde_json::to_vec(&location).unwrap_or_default(),
        created_at: now,
        expires_at: Some(expires_at),
    };
    let sql = &app.store.sql;
    // first its removal: a row that nobody removes would be worse than a removal of nothing
    let removal = NewEffect {
        id: format!("expiry_{}", made.id),
        topic: TOPIC.to_owned(),
        payload: serde_json::to_string(&made.id).unwrap_or_default(),
        due_at: expires_at,
    };
    sql.put_effects(&call.tenant, &[removal], now).await?;
    if !sql.add_recording(&call.tenant, &recording).await? {
        return Ok(false);
    }
    let news = RecordingNews {
        recording_id: made.id.clone(),
        content_type: CONTENT_TYPE.to_owned(),
        channels: 2,
        duration_ms: made.duration_ms,
    };
    announce::recording(app, call, &news).await?;
    Ok(true)
}

/// The newest recording of a call.
///
/// # Errors
/// [`StoreError`].
pub async fn find(app: &App, tenant: &str, call: &str) -> Result<Option<Kept>, StoreError> {
    let mut all = app.store.sql.call_recordings(tenant, call).await?;
    Ok(all.pop().and_then(|recording| located(app, recording)))
}

fn located(app: &App, recording: Recording) -> Option<Kept> {
    let location: Location = serde_json::from_slice(&recording.location).ok()?;
    // what was written by us holds no way out of the folder; a row that does was not
    let inside = !location
        .file
        .split('/')
        .any(|part| part.is_empty() || part == "..");
    inside.then(|| Kept {
        path: folder(app).join(location.file),
        recording,
    })
}

/// Removes recordings whose time is over.
pub(crate) struct Expiry;

#[async_trait]
impl Work for Expiry {
    fn topic(&self) -> &'static str {
        TOPIC
    }

    fn retries(&self) -> Retries {
        Retries {
            first: TimeDelta::minutes(1),
            longest: TimeDelta::hours(6),
            tries: 100,
        }
    }

    async fn run(&self, app: &Arc<App>, effect: &Effect) -> Result<(), Failed> {
        let id: String = serde_json::from_str(&effect.payload)
            .map_err(|_| Failed::never("what was put in cannot be read"))?;
        let file = folder(app).join(below(&effect.tenant, &id));
        match tokio::fs::remove_file(&file).await {
            Ok(()) => {}
            // it never came to be, or somebody has removed it
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failed::again(format!(
                    "the file cannot be removed: {error}"
                )));
            }
        }
        app.store.sql.delete_recording(&effect.tenant, &id).await?;
        Ok(())
    }
}
