//! Many people who talk at once, and what is kept of what they were told; for stories about faults.

use std::pin::pin;

use futures_util::future::join_all;
use serde_json::{Value, json};
use store::SessionKey;

use crate::caller::Caller;
use crate::redis_servers::until;
use crate::world::World;

const PATH: &str = "/v1/realtime?model=gpt-realtime";

/// People in conversations of their own. An event of the kind `error` ends the story.
pub(crate) struct Crowd {
    pub(crate) callers: Vec<Caller>,
    rounds: usize,
}

impl Crowd {
    /// So many people call.
    pub(crate) async fn call(world: &World, people: usize) -> Self {
        let settings = json!({ "type": "realtime", "instructions": "Be brief." });
        let calls = (0..people).map(|_| Caller::call(world, PATH, &settings));
        Self {
            callers: join_all(calls).await,
            rounds: 0,
        }
    }

    /// Everybody says something and hears the whole answer.
    pub(crate) async fn talk(&mut self) {
        self.rounds += 1;
        let words = format!("this is number {}", self.rounds);
        let turns = self.callers.iter_mut().map(async |caller| {
            caller.write(&words).await;
            caller.until("response.done").await;
        });
        join_all(turns).await;
    }

    /// Everybody talks, round after round, until `fault` is over.
    pub(crate) async fn talk_through<T>(&mut self, fault: impl Future<Output = T>) -> T {
        let mut fault = pin!(fault);
        let mut done = None;
        while done.is_none() {
            let mut round = pin!(self.talk());
            // a round is heard to its end, whatever happens meanwhile
            loop {
                tokio::select! {
                    () = &mut round => break,
                    over = &mut fault, if done.is_none() => done = Some(over),
                }
            }
        }
        done.unwrap()
    }

    /// Everybody hangs up; what is stored is what each was told: all of it, in order, once.
    pub(crate) async fn hang_up(self, world: &World) {
        let sql = &world.app().store.sql;
        let leaving = self.callers.into_iter().map(async |caller| {
            let left = (caller.session_id().to_owned(), told(&caller));
            caller.hang_up().await;
            left
        });
        for (id, told) in join_all(leaving).await {
            assert_eq!(told.len(), 2 * self.rounds, "{id}");
            until("the session is stored to its end", || async {
                let found = sql.find_session("default", &id).await;
                found.is_ok_and(|found| found.is_some_and(|session| session.ended_at.is_some()))
            })
            .await;
            let session = sql.find_session("default", &id).await.unwrap().unwrap();
            assert_eq!(session.outcome.as_deref(), Some("client_closed"));
            let key = SessionKey::new("default", &id, session.started_at);
            let items = sql.last_items(&key, 1000).await.unwrap();
            let kept = items.iter().map(|item| {
                let item: Value = serde_json::from_slice(&item.content).unwrap();
                shown(&item)
            });
            assert_eq!(kept.collect::<Vec<_>>(), told, "{id}");
        }
    }
}

/// What of an item both the client and the database have.
fn shown(item: &Value) -> Value {
    json!([
        item["id"],
        item["role"],
        item["status"],
        item["content"][0]["transcript"],
        item["content"][0]["text"]
    ])
}

/// The items that a client was told of to their end, in the order of the conversation.
fn told(caller: &Caller) -> Vec<Value> {
    let done = caller.events.iter();
    let done = done.filter(|event| event["type"] == "conversation.item.done");
    done.map(|event| shown(&event["item"])).collect()
}
