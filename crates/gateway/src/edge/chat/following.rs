//! The rooms that one socket is in: that of its token, and those that it follows beside it.
//! Asked by [`super::desk`] for every message that names a room, and by [`super::connection`] when a token ends.
//! Never lets anybody do in a room what the token that opened it does not allow.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::time::Instant;
use wire::chat::{ChatServerMessage, in_room, text};

use super::connection::expiry;
use super::desk::{Desk, Refusal};
use super::identity::Identity;
use super::replay::missed;
use super::room::{CatchingUp, Member, Out, Room};

/// Rooms that one socket may follow.
const FOLLOWED_MOST: usize = 200;

/// A room, and who the client is there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) room: Arc<Room>,
    /// What the token says that opened this room.
    pub(super) identity: Arc<Identity>,
}

/// A room that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    place: Place,
    /// When the token that opened it is no longer good, where that ends it.
    expires_at: Option<Instant>,
}

impl Followed {
    fn is_over(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Instant::now())
    }
}

fn refused(why: &str) -> Refusal {
    Refusal("Cannot follow this chat", Some(why.to_owned()))
}

impl Desk {
    fn followed(&self) -> MutexGuard<'_, Vec<Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room that is meant: one's own, or one that is followed.
    pub(super) fn place_of(&self, chat: Option<&str>) -> Result<Place, Refusal> {
        let Some(chat) = chat.filter(|chat| *chat != &*self.room.id) else {
            return Ok(Place {
                room: Arc::clone(&self.room),
                identity: Arc::clone(&self.identity),
            });
        };
        let followed = self.followed();
        let mut good = followed.iter().filter(|it| !it.is_over());
        let found = good.find(|it| *it.place.room.id == *chat);
        found.map(|it| it.place.clone()).ok_or_else(|| {
            let why = "send follow with the chatId first".to_owned();
            Refusal("Not in this chat", Some(why))
        })
    }

    /// When the first of the followed rooms has to be left.
    pub(super) fn followed_until(&self) -> Option<Instant> {
        self.followed().iter().filter_map(|it| it.expires_at).min()
    }

    /// Follows a room, and tells what was missed there.
    pub(super) async fn follow(
        &self,
        chat: Option<String>,
        token: Option<String>,
        since: Option<String>,
    ) -> Result<(), Refusal> {
        let (id, identity) = self.opened(chat, token).await?;
        if *self.room.id == *id {
            return Ok(());
        }
        let expires_at = expiry(&self.app, &identity);
        {
            let mut followed = self.followed();
            if let Some(known) = followed.iter_mut().find(|it| *it.place.room.id == *id) {
                // a fresh token for a room that is followed already
                known.place.identity = identity;
                known.expires_at = expires_at;
                return Ok(());
            }
            if followed.len() >= FOLLOWED_MOST {
                return Err(refused("one socket follows at most 200 chats"));
            }
        }
        let member = Member {
            number: self.number,
            user: identity.user.as_str().into(),
            extras: self.extras,
            follows: true,
            queue: self.queue.clone(),
            catching_up: since.is_some().then(|| Box::new(CatchingUp::begin())),
        };
        let room = self.chat().hub.enter(&id, member).await;
        let place = Place {
            room: Arc::clone(&room),
            identity,
        };
        self.followed().push(Followed { place, expires_at });
        self.tell_following(&id, true);
        if let Some(since) = since {
            self.replay(&room, &since).await;
        }
        Ok(())
    }

    /// The room that somebody wants to follow, and who they are there.
    async fn opened(
        &self,
        chat: Option<String>,
        token: Option<String>,
    ) -> Result<(String, Arc<Identity>), Refusal> {
        let Some(token) = token else {
            let chat = chat.filter(|chat| self.identity.may_hear(chat));
            let chat = chat
                .ok_or_else(|| refused("the token does not open it; send one for it as token"))?;
            return Ok((chat, Arc::clone(&self.identity)));
        };
        let read = self.chat().tokens.read(&token).await;
        let other = read.map_err(|_| refused("the token is not valid"))?;
        if chat.is_some_and(|chat| chat != other.chat) {
            return Err(refused("the token is for another chat"));
        }
        if other.user != self.identity.user {
            return Err(refused("the token is for another user"));
        }
        Ok((other.chat.clone(), Arc::new(other)))
    }

    /// What was missed in a followed room, as fast as the client reads it; what is told meanwhile comes behind it.
    async fn replay(&self, room: &Room, since: &str) {
        let missed = missed(&self.app, &room.id, since).await;
        let replayed = ChatServerMessage::Replayed {
            count: missed.texts.len(),
            complete: missed.complete,
        };
        for text in missed.texts.iter().chain([&text(&replayed)]) {
            let text = in_room(&room.id, text);
            if self.queue.send(Out::Text(text.into())).await.is_err() {
                // the socket is gone
                return;
            }
        }
        room.replayed(self.number, &missed.keys);
        while let Some(text) = room.next_held(self.number) {
            if self.queue.send(Out::Text(text)).await.is_err() {
                return;
            }
        }
    }

    /// Follows a room no more.
    pub(super) async fn unfollow(&self, room: &Arc<Room>) -> Result<(), Refusal> {
        if Arc::ptr_eq(room, &self.room) {
            let why = "close the socket to leave its own chat".to_owned();
            return Err(Refusal("Cannot unfollow this chat", Some(why)));
        }
        self.followed()
            .retain(|it| !Arc::ptr_eq(&it.place.room, room));
        self.chat().hub.leave(room, self.number).await;
        self.tell_following(&room.id, false);
        Ok(())
    }

    /// Follows those rooms no more whose tokens have ended.
    pub(super) fn leave_expired(desk: &Arc<Self>) {
        let over: Vec<Followed> = desk.followed().extract_if(.., |it| it.is_over()).collect();
        let lifecycle = desk.app.lifecycle.clone();
        let desk = Arc::clone(desk);
        // a room that redis has to be told about may take a moment, and the socket does not wait for it
        lifecycle.spawn(async move {
            for Followed { place, .. } in over {
                desk.chat().hub.leave(&place.room, desk.number).await;
                desk.tell_following(&place.room.id, false);
            }
        });
    }

    fn tell_following(&self, chat: &str, following: bool) {
        self.answer(&ChatServerMessage::Following {
            chat_id: chat.to_owned(),
            following,
            timestamp: self.now(),
        });
    }

    /// Leaves all rooms.
    pub(super) async fn leave(&self) {
        let followed = std::mem::take(&mut *self.followed());
        let rooms = followed.iter().map(|it| &it.place.room);
        for room in rooms.chain([&self.room]) {
            self.chat().hub.leave(room, self.number).await;
        }
    }
}
