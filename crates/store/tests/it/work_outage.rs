//! A Redis that breaks connections keeps the work; one that was restarted empty has lost it, and says so.

use store::live::work::claim::{Claimer, Hold, Last};
use store::live::work::inbox::{Inbox, News};
use store::live::{Live, WorkError};

use crate::redis_servers::{Servers, ask};
use crate::work::{LIMITS, claimed, headers, heard, numbered, queue, said, texts, within};

#[tokio::test]
async fn a_redis_that_forgot_everything_is_told_from_one_that_was_only_away() {
    let mut servers = Servers::single().await;
    let live = Live::open(&store::LiveOptions {
        redis_url: Some(servers.url.clone()),
        ..store::LiveOptions::memory(1)
    })
    .await
    .unwrap();
    let gateway = queue(&live, LIMITS);
    let mut inbox = Inbox::open(&gateway, "g").await.unwrap();
    gateway.open("g", "j", &headers(), b"").await.unwrap();
    let mut claimer = Claimer::new(&gateway, "w");
    let claim = claimed(&mut claimer).await;
    assert_eq!(inbox.next().await, News::Answers(Vec::new()));
    // connections break, the data stays
    let _: Option<i64> = ask(servers.nodes[0].port, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    within("the same redis", async {
        while claimer.answer(&claim, &[said("a")], b"", Last::No).await != Ok(Hold::Held) {
            inbox.next().await;
        }
    })
    .await;
    heard(&mut inbox, 1).await;
    servers.nodes[0].restart().await;
    let forgotten = within("an empty redis", async {
        loop {
            let news = inbox.next().await;
            if news != News::Answers(Vec::new()) {
                return news;
            }
        }
    });
    assert_eq!(forgotten.await, News::Forgotten);
    assert_eq!(gateway.tell("j", &[said("b")]).await, Err(WorkError::Gone));
    // and it listens again
    gateway.open("g", "k", &headers(), b"").await.unwrap();
    let claim = within("a job after that", async {
        loop {
            if let Ok(Some(claim)) = claimer.next().await {
                return claim;
            }
        }
    })
    .await;
    let done = claimer.answer(&claim, &[said("c")], b"", Last::Yes).await;
    assert_eq!(done.unwrap(), Hold::Held);
    assert_eq!(texts(&heard(&mut inbox, 1).await), numbered(&["c"]));
}
