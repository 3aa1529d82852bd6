use super::*;
use crate::sql::sessions::SessionKey;
use engine::meter::Units;

fn entry(session: &str, revision: i64, change: Change) -> Entry {
    Entry {
        session: SessionKey::new("acme", session, DateTime::UNIX_EPOCH),
        revision,
        change,
    }
}

fn settings(session: &str, revision: i64, project: &str) -> Entry {
    let change = Change::Settings {
        project: project.to_owned(),
        model: "m".to_owned(),
        settings: format!("{{{revision}}}"),
    };
    entry(session, revision, change)
}

fn put(session: &str, revision: i64, item: &str) -> Entry {
    let change = Change::Put {
        item: item.to_owned(),
        position: revision,
        created_at: DateTime::from_timestamp(revision, 0).unwrap(),
        content: format!("{{{revision}}}"),
    };
    entry(session, revision, change)
}

fn removed(session: &str, revision: i64, item: &str) -> Entry {
    let item = item.to_owned();
    entry(session, revision, Change::Removed { item })
}

fn ended(session: &str, revision: i64) -> Entry {
    let change = Change::Ended {
        at: DateTime::UNIX_EPOCH,
        outcome: "closed".to_owned(),
    };
    entry(session, revision, change)
}

fn used(session: &str, number: u64, turn: u32) -> Entry {
    let piece = Piece {
        run: "run".to_owned(),
        number,
        project: "default".to_owned(),
        at: DateTime::UNIX_EPOCH,
        turn,
        stage: "llm".to_owned(),
        provider: "p".to_owned(),
        model: String::new(),
        wanted: "m".to_owned(),
        pipeline: "main".to_owned(),
        prices: "1".to_owned(),
        units: Units::default(),
        cost_pico: None,
    };
    entry(session, 0, Change::Used(Box::new(piece)))
}

fn answered(session: &str, turn: u32, response: &str) -> Entry {
    let change = Change::Answered {
        run: "run".to_owned(),
        turn,
        response: response.to_owned(),
    };
    entry(session, 0, change)
}

fn sizes(entries: &[Entry]) -> Vec<[usize; 6]> {
    let entries: Vec<_> = entries.iter().collect();
    let size = |round: &Round<'_>| {
        [
            round.settings.len(),
            round.puts.len(),
            round.used.len(),
            round.answered.len(),
            round.removed.len(),
            round.ended.len(),
        ]
    };
    rounds(&entries).iter().map(size).collect()
}

#[test]
fn conversations_that_begin_talk_and_end_are_one_round() {
    let mut all = Vec::new();
    for session in ["a", "b", "c"] {
        all.extend([
            settings(session, 1, "p"),
            put(session, 2, "x"),
            put(session, 3, "x"),
            put(session, 4, "y"),
            used(session, 1, 1),
            used(session, 2, 1),
            answered(session, 1, "resp"),
            settings(session, 5, "p"),
            removed(session, 6, "y"),
            ended(session, 7),
        ]);
    }
    assert_eq!(sizes(&all), [[3, 6, 6, 3, 3, 3]]);
    assert!(rounds(&[]).is_empty());
}

#[test]
fn the_later_change_counts_and_what_was_first_stays() {
    let all = [
        settings("a", 1, "first"),
        settings("a", 4, "second"),
        settings("a", 3, "third"),
        put("a", 5, "x"),
        put("a", 8, "x"),
        put("a", 6, "x"),
    ];
    let all: Vec<_> = all.iter().collect();
    let rounds = rounds(&all);
    let row = &rounds[0].settings[0];
    assert_eq!(
        (row.project, row.settings, row.revision),
        ("first", "{4}", 4)
    );
    let row = &rounds[0].puts[0];
    assert_eq!((row.content, row.revision, row.position), ("{8}", 8, 8));
    assert_eq!(row.created_at.timestamp(), 5);
}

#[test]
fn what_does_not_come_to_the_same_is_written_after_the_rest() {
    for (apart, all) in [
        // it came back after it had been taken away
        (
            "item",
            vec![put("a", 1, "x"), removed("a", 2, "x"), put("a", 3, "x")],
        ),
        // the session was no session yet
        ("items", vec![put("a", 2, "x"), settings("a", 3, "p")]),
        // its end is older than its settings
        (
            "end",
            vec![settings("a", 1, "p"), ended("a", 2), settings("a", 3, "p")],
        ),
        ("ends", vec![ended("a", 1), ended("a", 2)]),
        // work that the response did not know of
        (
            "turn",
            vec![used("a", 1, 1), answered("a", 1, "r"), used("a", 2, 1)],
        ),
    ] {
        assert_eq!(sizes(&all).len(), 2, "{apart}");
    }
    // of another item, session or turn it does
    for all in [
        vec![removed("a", 2, "x"), put("a", 3, "y"), put("b", 1, "x")],
        vec![ended("a", 1), ended("b", 1)],
        vec![
            answered("a", 1, "r"),
            used("a", 2, 2),
            answered("a", 1, "s"),
        ],
    ] {
        assert_eq!(sizes(&all).len(), 1, "{all:?}");
    }
}
