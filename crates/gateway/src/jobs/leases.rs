//! Holds the places of running conversations in Redis, and gives back those of conversations that have ended.
//! Runs in every server that has a Redis, to the very end: conversations may outlast the call to stop.
//! Never drops a conversation, whatever Redis says.

use std::sync::Arc;
use std::time::Duration;

use store::live::leases::RENEW_EVERY_MS;
use tokio::time::MissedTickBehavior;

use crate::App;

pub(super) async fn run(app: Arc<App>) {
    let leases = &app.store.live.leases;
    let mut turns = tokio::time::interval(Duration::from_millis(RENEW_EVERY_MS));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = turns.tick() => leases.renew().await,
            () = leases.left() => leases.give_back().await,
        }
    }
}
