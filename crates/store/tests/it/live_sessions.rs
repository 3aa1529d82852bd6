//! Live sessions: held by one gateway at a time, continued at any, with the last hundred items in order.

use chrono::{DateTime, Utc};
use store::live::sessions::{
    ALIVE_S, Changes, Heard, Hold, Holding, ITEMS_MAX, KEPT_S, Kept, LiveItem, Presence, Sessions,
};

use crate::live::Gateways;

const PLACE: (&str, &str) = ("acme", "default");

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn item(number: usize) -> LiveItem {
    LiveItem {
        id: format!("item_{number}"),
        position: number as i64 * (1 << 32),
        content: format!("{{\"said\":\"sentence {number}\"}}"),
    }
}

fn kept(items: usize) -> Kept {
    Kept {
        head: "{\"voice\":\"alloy\"}".to_owned(),
        state: "{\"turns\":1}".to_owned(),
        items: (0..items).map(item).collect(),
        parted: None,
    }
}

fn put(items: impl IntoIterator<Item = LiveItem>) -> Changes {
    Changes {
        put: items.into_iter().collect(),
        ..Changes::default()
    }
}

/// Writes a session whole for the gateway `node`.
async fn write_whole(sessions: &Sessions, hold: &mut Hold, node: &str, kept: &Kept) -> Heard {
    let begun = sessions.begin(hold, (PLACE.1, node), kept, at(0)).await;
    begun.unwrap()
}

async fn begun(gateways: &Gateways, id: &str, items: usize) -> Hold {
    let mut hold = Hold::first(PLACE.0, id);
    let heard = write_whole(&gateways.one.sessions, &mut hold, "one", &kept(items)).await;
    assert_eq!(heard, Heard::Done);
    hold
}

async fn holding(sessions: &Sessions, id: &str, seconds: i64) -> Option<(String, Holding)> {
    let found = sessions.find(PLACE.0, id, at(seconds)).await.unwrap();
    found.map(
        |Presence {
             node,
             holding,
             project,
         }| {
            assert_eq!(project, PLACE.1);
            (node, holding)
        },
    )
}

/// Opens two gateways with keys of their own for a story.
pub(crate) async fn all(open: impl AsyncFn(&'static str) -> Gateways) {
    another_gateway_goes_on_with_all_of_it(open("go on").await).await;
    who_lost_a_session_writes_nothing_more(open("lost").await).await;
    the_last_hundred_items_stay_in_order(open("hundred").await).await;
    items_are_replaced_moved_between_and_removed(open("change").await).await;
    what_a_client_missed_is_handed_over_once(open("missed").await).await;
    a_session_is_found_by_its_tenant_and_project_alone(open("walls").await).await;
    what_nobody_knows_is_written_whole_again(open("absent").await).await;
    an_end_leaves_nothing(open("end").await).await;
    of_many_who_take_over_each_gets_a_number_of_its_own(open("many").await).await;
    what_a_tenant_leaves_behind_is_forgotten_with_it(open("leave").await).await;
}

async fn another_gateway_goes_on_with_all_of_it(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    let hold = begun(&gateways, "sess_a", 2).await;
    let changes = Changes {
        state: Some("{\"turns\":2}".to_owned()),
        ..put([item(2)])
    };
    let heard = one.sessions.write(&hold, &changes, at(1)).await.unwrap();
    assert_eq!(heard, Heard::Done);
    assert_eq!(
        holding(&other.sessions, "sess_a", 2).await,
        Some(("one".to_owned(), Holding::Alive))
    );
    let claimed = other.sessions.claim(PLACE, "sess_a", "other", at(3)).await;
    let (hold, found) = claimed.unwrap().unwrap();
    let expected = Kept {
        state: "{\"turns\":2}".to_owned(),
        ..kept(3)
    };
    assert_eq!((hold.number, found), (2, expected));
    assert_eq!(
        holding(&one.sessions, "sess_a", 4).await,
        Some(("other".to_owned(), Holding::Alive))
    );
}

async fn who_lost_a_session_writes_nothing_more(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    let mut old = begun(&gateways, "sess_a", 1).await;
    let claimed = other.sessions.claim(PLACE, "sess_a", "other", at(1)).await;
    let (mut new, found) = claimed.unwrap().unwrap();
    let heard = write_whole(&other.sessions, &mut new, "other", &found).await;
    assert_eq!(heard, Heard::Done);
    let late = one.sessions.write(&old, &put([item(7)]), at(2)).await;
    assert_eq!(late.unwrap(), Heard::Lost);
    assert_eq!(one.sessions.beat(&old, at(2)).await.unwrap(), Heard::Lost);
    let again = write_whole(&one.sessions, &mut old, "one", &kept(9)).await;
    assert_eq!(again, Heard::Lost);
    one.sessions.end(&old).await.unwrap();
    let claimed = one.sessions.claim(PLACE, "sess_a", "one", at(3)).await;
    assert_eq!(claimed.unwrap().unwrap().1, kept(1));
}

async fn the_last_hundred_items_stay_in_order(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    let hold = begun(&gateways, "sess_a", 0).await;
    for first in (0..ITEMS_MAX + 20).step_by(10) {
        let items = put((first..first + 10).map(item));
        one.sessions.write(&hold, &items, at(1)).await.unwrap();
    }
    let claimed = other.sessions.claim(PLACE, "sess_a", "other", at(2)).await;
    let (_, found) = claimed.unwrap().unwrap();
    let expected: Vec<_> = (20..ITEMS_MAX + 20).map(item).collect();
    assert_eq!(found.items, expected);
}

async fn items_are_replaced_moved_between_and_removed(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    let hold = begun(&gateways, "sess_a", 4).await;
    let between = LiveItem {
        position: item(1).position + 1,
        ..item(9)
    };
    let before = LiveItem {
        position: -(1 << 32),
        ..item(8)
    };
    let other_words = LiveItem {
        content: "{}".to_owned(),
        ..item(2)
    };
    let changes = Changes {
        removed: vec!["item_0".to_owned(), "item_unknown".to_owned()],
        ..put([between.clone(), before.clone(), other_words.clone()])
    };
    one.sessions.write(&hold, &changes, at(1)).await.unwrap();
    let claimed = other.sessions.claim(PLACE, "sess_a", "other", at(2)).await;
    let (_, found) = claimed.unwrap().unwrap();
    assert_eq!(
        found.items,
        [before, item(1), between, other_words, item(3)]
    );
}

async fn what_a_client_missed_is_handed_over_once(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    let hold = begun(&gateways, "sess_a", 1).await;
    let parting = Changes {
        parted: Some("[\"event_1\"]".to_owned()),
        ..Changes::default()
    };
    one.sessions.write(&hold, &parting, at(1)).await.unwrap();
    assert_eq!(
        holding(&other.sessions, "sess_a", 2).await,
        Some(("one".to_owned(), Holding::Parted))
    );
    let claimed = other.sessions.claim(PLACE, "sess_a", "other", at(2)).await;
    let (_, found) = claimed.unwrap().unwrap();
    assert_eq!(found.parted, parting.parted);
    let claimed = one.sessions.claim(PLACE, "sess_a", "one", at(2)).await;
    assert_eq!(claimed.unwrap().unwrap().1.parted, None);
}

async fn a_session_is_found_by_its_tenant_and_project_alone(gateways: Gateways) {
    let Gateways { other, .. } = &gateways;
    begun(&gateways, "sess_a", 1).await;
    for (tenant, project) in [("rival", "default"), ("acme", "another"), ("acme", "")] {
        let claimed = other
            .sessions
            .claim((tenant, project), "sess_a", "x", at(1));
        assert!(claimed.await.unwrap().is_none(), "{tenant} {project}");
    }
    for id in [
        "sess_b",
        "",
        "sess_a}:record",
        "a:sess_a",
        &"s".repeat(5000),
    ] {
        let claimed = other.sessions.claim(PLACE, id, "x", at(1)).await;
        assert!(claimed.unwrap().is_none(), "{id}");
        assert_eq!(holding(&other.sessions, id, 1).await, None);
    }
    let found = other.sessions.find("rival", "sess_a", at(1)).await;
    assert_eq!(found.unwrap(), None);
}

async fn what_nobody_knows_is_written_whole_again(gateways: Gateways) {
    let Gateways { one, .. } = &gateways;
    let mut hold = Hold::first(PLACE.0, "sess_a");
    for heard in [
        one.sessions.beat(&hold, at(0)).await,
        one.sessions.write(&hold, &put([item(1)]), at(0)).await,
    ] {
        assert_eq!(heard.unwrap(), Heard::Absent);
    }
    assert_eq!(holding(&one.sessions, "sess_a", 0).await, None);
    for _ in 0..2 {
        let heard = write_whole(&one.sessions, &mut hold, "one", &kept(3)).await;
        assert_eq!(heard, Heard::Done);
    }
    let claimed = one.sessions.claim(PLACE, "sess_a", "one", at(1)).await;
    assert_eq!(claimed.unwrap().unwrap().1, kept(3));
}

async fn an_end_leaves_nothing(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    let hold = begun(&gateways, "sess_a", 3).await;
    one.sessions.end(&hold).await.unwrap();
    assert_eq!(holding(&other.sessions, "sess_a", 1).await, None);
    let claimed = other.sessions.claim(PLACE, "sess_a", "other", at(1)).await;
    assert!(claimed.unwrap().is_none());
}

async fn what_a_tenant_leaves_behind_is_forgotten_with_it(gateways: Gateways) {
    let Gateways { one, other } = &gateways;
    assert_eq!(other.sessions.forget(PLACE.0).await.unwrap(), 0);
    let ended = begun(&gateways, "sess_ended", 1).await;
    one.sessions.end(&ended).await.unwrap();
    let parting = Changes {
        parted: Some("[]".to_owned()),
        ..Changes::default()
    };
    // more than are read at a time
    for number in 0..510 {
        let hold = begun(&gateways, &format!("sess_{number}"), 2).await;
        one.sessions.write(&hold, &parting, at(1)).await.unwrap();
    }
    let mut rival = Hold::first("rival", "sess_0");
    write_whole(&one.sessions, &mut rival, "one", &kept(1)).await;
    let alive = begun(&gateways, "sess_alive", 1).await;

    assert_eq!(other.sessions.forget(PLACE.0).await.unwrap(), 511);
    for id in ["sess_0", "sess_509", "sess_alive"] {
        assert_eq!(holding(&other.sessions, id, 2).await, None);
        let claimed = other.sessions.claim(PLACE, id, "other", at(2)).await;
        assert!(claimed.unwrap().is_none(), "{id}");
    }
    let of_another = other.sessions.find("rival", "sess_0", at(2)).await;
    assert!(of_another.unwrap().is_some());
    // a conversation that was not over yet writes itself anew, and goes the next time
    let heard = one.sessions.write(&alive, &parting, at(2)).await.unwrap();
    assert_eq!(heard, Heard::Absent);
    begun(&gateways, "sess_alive", 1).await;
    assert_eq!(other.sessions.forget(PLACE.0).await.unwrap(), 1);
    assert_eq!(other.sessions.forget(PLACE.0).await.unwrap(), 0);
}

async fn of_many_who_take_over_each_gets_a_number_of_its_own(gateways: Gateways) {
    begun(&gateways, "sess_a", 1).await;
    let takers: Vec<_> = (0..50)
        .map(|taker| {
            let sessions = [&gateways.one, &gateways.other][taker % 2].sessions.clone();
            tokio::spawn(async move {
                let claimed = sessions.claim(PLACE, "sess_a", "taker", at(1)).await;
                claimed.unwrap().unwrap().0.number
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for taker in takers {
        numbers.push(taker.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (2..52).collect::<Vec<u64>>());
}

#[tokio::test]
async fn time_makes_a_holder_silent_and_a_session_forgotten() {
    let sessions = Sessions::memory(1 << 20);
    let mut hold = Hold::first(PLACE.0, "sess_a");
    write_whole(&sessions, &mut hold, "one", &kept(1)).await;
    let of = async |seconds| holding(&sessions, "sess_a", seconds).await.map(|it| it.1);
    assert_eq!(of(ALIVE_S - 1).await, Some(Holding::Alive));
    assert_eq!(of(ALIVE_S).await, Some(Holding::Silent));
    sessions.beat(&hold, at(ALIVE_S)).await.unwrap();
    assert_eq!(of(ALIVE_S).await, Some(Holding::Alive));
    assert_eq!(of(ALIVE_S + KEPT_S).await, None);
    sessions.purge(at(ALIVE_S + KEPT_S));
    assert_eq!(of(0).await, None);
}

#[tokio::test]
async fn in_a_full_memory_those_whose_clients_have_gone_make_way() {
    let sessions = Sessions::memory(4000);
    let long = Kept {
        head: "x".repeat(1000),
        ..Kept::default()
    };
    let begin = async |id: &str, seconds| {
        let mut hold = Hold::first(PLACE.0, id);
        let begun = sessions.begin(&mut hold, (PLACE.1, "one"), &long, at(seconds));
        (begun.await.unwrap(), hold)
    };
    let mut holds = Vec::new();
    for (at, id) in ["sess_a", "sess_b", "sess_c"].into_iter().enumerate() {
        let (heard, hold) = begin(id, at as i64).await;
        assert_eq!(heard, Heard::Done);
        holds.push(hold);
    }
    assert_eq!(begin("sess_d", 3).await.0, Heard::Absent, "all are alive");
    let parting = Changes {
        parted: Some(String::new()),
        ..Changes::default()
    };
    for (hold, seconds) in [(&holds[1], 4), (&holds[0], 5)] {
        sessions.write(hold, &parting, at(seconds)).await.unwrap();
    }
    assert_eq!(begin("sess_d", 6).await.0, Heard::Done);
    assert_eq!(
        holding(&sessions, "sess_b", 6).await,
        None,
        "the longest gone"
    );
    assert!(holding(&sessions, "sess_a", 6).await.is_some());
    // one that grows beyond everything is not kept, and the others stay
    let grown = put([LiveItem {
        content: "y".repeat(5000),
        ..item(1)
    }]);
    let heard = sessions.write(&holds[2], &grown, at(7)).await.unwrap();
    assert_eq!(heard, Heard::Absent);
    assert!(holding(&sessions, "sess_d", 7).await.is_some());
}
