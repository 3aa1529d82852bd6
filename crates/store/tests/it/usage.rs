//! What was used: each piece once, summed up by whom it belongs to, gone when its time is over; on every database.

use chrono::{DateTime, TimeDelta, Utc};
use engine::meter::{Cost, Units};
use store::{Change, Entry, Piece, PrunedUsage, SessionKey, UsageGroup, UsageSum};

use crate::backend::{Backend, Kind};
use crate::conversations::{at, session, write};

pub(crate) fn piece(number: u64, model: &str) -> Piece {
    Piece {
        run: "run-a".to_owned(),
        number,
        project: "default".to_owned(),
        at: at(number.cast_signed()),
        turn: 1,
        stage: "llm".to_owned(),
        provider: "openai".to_owned(),
        model: model.to_owned(),
        wanted: "gpt-realtime".to_owned(),
        pipeline: "main".to_owned(),
        prices: "2026-11".to_owned(),
        units: Units {
            input_tokens: 100,
            output_tokens: 10,
            ..Units::default()
        },
        cost_pico: Some(2_500_000),
    }
}

pub(crate) fn used(session: &SessionKey, piece: Piece) -> Entry {
    Entry {
        session: session.clone(),
        revision: 0,
        change: Change::Used(Box::new(piece)),
    }
}

fn always() -> (DateTime<Utc>, DateTime<Utc>) {
    (at(-1_000_000), at(1_000_000))
}

async fn sums(on: &Backend, tenant: Option<&str>, group: UsageGroup) -> Vec<UsageSum> {
    on.sql.usage_sums(tenant, always(), group).await.unwrap()
}

async fn a_piece_that_is_written_again_counts_once(on: Backend) {
    let here = session("acme", "sess_1");
    let entries = [used(&here, piece(1, "a")), used(&here, piece(2, "a"))];
    for _ in 0..3 {
        write(&on.sql, &entries).await;
    }
    // another process counts the same session from 1 as well
    let mut other = piece(1, "a");
    "run-b".clone_into(&mut other.run);
    other.units.estimated = true;
    write(&on.sql, &[used(&here, other)]).await;
    let pieces = on.sql.session_usage("acme", "sess_1").await.unwrap();
    assert_eq!(pieces.len(), 3);
    assert!(pieces.iter().all(|piece| piece.units.input_tokens == 100));
    assert_eq!(pieces[0].cost, Some(Cost::from_pico_dollars(2_500_000)));
    let sum = &sums(&on, Some("acme"), UsageGroup::Model).await[0];
    assert_eq!((sum.units.input_tokens, sum.units.output_tokens), (300, 30));
    assert!(sum.units.estimated);
    // 7.5 micro-dollars: nothing was rounded on the way
    assert_eq!(sum.cost, Some(Cost::from_pico_dollars(7_500_000)));
    assert!(
        on.sql
            .session_usage("rival", "sess_1")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        on.sql
            .session_usage("acme", "sess\0")
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_turn_is_tied_to_its_response_once(on: Backend) {
    let here = session("acme", "sess_1");
    let named = |turn, response: &str| Entry {
        session: here.clone(),
        revision: 0,
        change: Change::Answered {
            run: "run-a".to_owned(),
            turn,
            response: response.to_owned(),
        },
    };
    let mut second = piece(2, "a");
    second.turn = 2;
    let entries = [
        used(&here, piece(1, "a")),
        named(1, "resp_1"),
        used(&here, second),
        named(1, "resp_beside"),
    ];
    for _ in 0..2 {
        write(&on.sql, &entries).await;
    }
    let mut pieces = on.sql.session_usage("acme", "sess_1").await.unwrap();
    pieces.sort_by_key(|piece| piece.turn);
    let named: Vec<_> = pieces
        .iter()
        .map(|piece| piece.response.as_deref())
        .collect();
    assert_eq!(named, [Some("resp_1"), None]);
}

async fn sums_are_by_whoever_it_belongs_to(on: Backend) {
    let (here, there) = (session("acme", "sess_1"), session("rival", "sess_1"));
    let mut unpriced = piece(3, "c");
    unpriced.cost_pico = None;
    let mut staging = piece(4, "a");
    "staging".clone_into(&mut staging.project);
    write(
        &on.sql,
        &[
            used(&here, piece(1, "a")),
            used(&here, piece(2, "b")),
            used(&here, unpriced),
            used(&here, staging),
        ],
    )
    .await;
    write(&on.sql, &[used(&there, piece(1, "a"))]).await;

    let by_model = sums(&on, Some("acme"), UsageGroup::Model).await;
    let shown: Vec<_> = by_model
        .iter()
        .map(|sum| {
            (
                &*sum.model,
                sum.units.input_tokens,
                sum.cost.map(Cost::pico_dollars),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("a", 200, Some(5_000_000)),
            ("b", 100, Some(2_500_000)),
            ("c", 100, None)
        ]
    );
    let by_project = sums(&on, Some("acme"), UsageGroup::Project).await;
    let shown: Vec<_> = by_project
        .iter()
        .map(|sum| (&*sum.project, sum.units.input_tokens, sum.cost.is_some()))
        .collect();
    assert_eq!(shown, [("default", 300, false), ("staging", 100, true)]);
    let by_tenant = sums(&on, None, UsageGroup::Tenant).await;
    let shown: Vec<_> = by_tenant
        .iter()
        .map(|sum| (&*sum.tenant, sum.units.input_tokens))
        .collect();
    assert_eq!(shown, [("acme", 400), ("rival", 100)]);
    let own = sums(&on, Some("rival"), UsageGroup::Tenant).await;
    assert_eq!((own.len(), &*own[0].tenant), (1, "rival"));
    // nobody asks for the parts of everybody
    for group in [UsageGroup::Project, UsageGroup::Model] {
        assert!(sums(&on, None, group).await.is_empty());
    }
    // the first moment is in, the last is not
    let span = (at(1), at(3));
    let within = on.sql.usage_sums(Some("acme"), span, UsageGroup::Tenant);
    assert_eq!(within.await.unwrap()[0].units.input_tokens, 200);
}

async fn usage_goes_when_its_time_is_over(on: Backend) {
    for tenant in ["acme", "rival"] {
        let here = session(tenant, "sess_1");
        let mut old = piece(1, "a");
        old.at = at(0) - TimeDelta::days(400);
        write(&on.sql, &[used(&here, old), used(&here, piece(2, "a"))]).await;
    }
    let cut = at(0) - TimeDelta::days(30);
    let pruned = on.sql.prune_usage(cut).await.unwrap();
    let whole_months = matches!(on.kind, Kind::Postgres(_));
    let expected = if whole_months { (0, 8) } else { (2, 0) };
    assert_eq!((pruned.pieces, pruned.partitions), expected);
    let again = on.sql.prune_usage(cut).await.unwrap();
    assert_eq!(again, PrunedUsage::default());
    // of a month that is not over it goes piece by piece
    for tenant in ["acme", "rival"] {
        let mut late = piece(3, "a");
        late.at = at(0);
        "run-late".clone_into(&mut late.run);
        write(&on.sql, &[used(&session(tenant, "sess_1"), late)]).await;
    }
    let pruned = on.sql.prune_usage(at(1)).await.unwrap();
    assert_eq!((pruned.pieces, pruned.partitions), (2, 0));
    for tenant in ["acme", "rival"] {
        let left = on.sql.session_usage(tenant, "sess_1").await.unwrap();
        assert_eq!(left.len(), 1);
    }
}

stories!(
    a_piece_that_is_written_again_counts_once,
    a_turn_is_tied_to_its_response_once,
    sums_are_by_whoever_it_belongs_to,
    usage_goes_when_its_time_is_over,
);
