//! From what is kept of a session to one that goes on, here.
//! Called by an edge whose client names the session that it was in.
//! Never tells a session of another tenant or project from one that there is not.

use engine::session::Past;
use store::Place;
use store::live::sessions::{Hold, Kept};
use wire::realtime::{ErrorBody, Item, SessionKind, decode};

use super::prepare::{Door, Prepared, Wish, prepare};
use super::record::{Entry, Head, State};
use crate::App;

/// A session that can go on.
pub(crate) struct Resumed {
    /// To start.
    pub(crate) prepared: Prepared,
    /// By which it is kept from now on.
    pub(crate) entry: Entry,
    /// What its last holder left for the client; `None` when that one did not come to it.
    pub(crate) missed: Option<String>,
    /// What was said.
    pub(crate) items: Vec<Item>,
}

/// Which session goes on, and until when.
#[derive(Debug)]
pub(crate) struct GoingOn {
    /// `sess_…`.
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

/// What is kept, read.
struct Read {
    head: Head,
    state: State,
    places: Vec<(String, i64)>,
    items: Vec<Item>,
    expires_at: i64,
}

/// Takes the session `id` over; nobody else goes on with it then.
///
/// # Errors
/// A typed error for the client.
pub(crate) async fn resume(
    app: &App,
    catalog: &providers::Catalog,
    place: Place<'_>,
    id: &str,
) -> Result<Resumed, ErrorBody> {
    let sessions = app.presence.sessions();
    let whose = (place.tenant, place.project);
    let claimed = sessions
        .claim(whose, id, app.presence.node(), app.clock.utc())
        .await
        .map_err(|error| {
            tracing::warn!(%error, "cannot look for a session");
            ErrorBody::server(
                "session_unavailable",
                "The session cannot be looked for at present. Try again in a moment, or begin a new one without session_id.",
            )
        })?;
    let Some((mut hold, kept)) = claimed else {
        return Err(not_found(id));
    };
    match take_up(app, catalog, place, (&hold, &kept)).await {
        Ok(resumed) => Ok(resumed),
        Err(error) => {
            // as it was: somebody else may know what to do with it
            let kept = Kept {
                parted: Some(kept.parted.clone().unwrap_or_default()),
                ..kept
            };
            let begun = sessions.begin(
                &mut hold,
                (place.project, app.presence.node()),
                &kept,
                app.clock.utc(),
            );
            if let Err(error) = begun.await {
                tracing::warn!(%error, "a session that could not go on is not put back");
            }
            Err(error)
        }
    }
}

async fn take_up(
    app: &App,
    catalog: &providers::Catalog,
    place: Place<'_>,
    (hold, kept): (&Hold, &Kept),
) -> Result<Resumed, ErrorBody> {
    let Read {
        head,
        state,
        places,
        items,
        expires_at,
    } = read(kept).ok_or_else(|| {
        tracing::error!(
            session = hold.id,
            "what is kept of a session cannot be read"
        );
        ErrorBody::server(
            "session_unreadable",
            "What is kept of this session cannot be read. Begin a new one without session_id.",
        )
    })?;
    if expires_at <= app.clock.unix_s() {
        return Err(not_found(&hold.id));
    }
    let settings = decode::session_update(&head.settings, "session").map_err(|it| it.error)?;
    let wish = Wish {
        place,
        kind: settings.kind.unwrap_or(SessionKind::Realtime),
        model: Some(head.model).filter(|model| !model.is_empty()),
        settings,
        going_on: Some(GoingOn {
            id: hold.id.clone(),
            expires_at,
        }),
        door: Door::default(),
    };
    let mut prepared = prepare(app, catalog, wish).await?;
    prepared.session.recall(Past {
        conversation_id: state.conversation,
        turns: state.turns,
        items: items.clone(),
        open: state.open.into_iter().map(Into::into).collect(),
    });
    let entry = Entry {
        hold: hold.clone(),
        started_at: head.started_at,
        places,
        ..Entry::new(app, place, &prepared.session)
    };
    Ok(Resumed {
        prepared,
        entry,
        missed: kept.parted.clone(),
        items,
    })
}

/// `None` when it was not written by a gateway of this version.
fn read(kept: &Kept) -> Option<Read> {
    let head: Head = serde_json::from_str(&kept.head).ok()?;
    let state = serde_json::from_str(&kept.state).ok()?;
    let expires_at = head.settings.get("expires_at")?.as_i64()?;
    let (mut places, mut items) = (Vec::new(), Vec::new());
    for item in &kept.items {
        items.push(serde_json::from_str(&item.content).ok()?);
        places.push((item.id.clone(), item.position));
    }
    Some(Read {
        head,
        state,
        places,
        items,
        expires_at,
    })
}

fn not_found(id: &str) -> ErrorBody {
    let message = format!(
        "There is no session '{id}' to go on with: it has ended, it is too old, or it is not of this key's project. Begin a new one without session_id."
    );
    ErrorBody::invalid("session_not_found", message).at("session_id")
}
