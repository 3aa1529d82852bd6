use chrono::NaiveDateTime;
use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .unwrap()
        .and_utc()
}

fn local(zone: Tz, text: &str) -> DateTime<Utc> {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    zone.from_local_datetime(&local)
        .earliest()
        .unwrap()
        .to_utc()
}

const NEW_YORK: Tz = Tz::America__New_York;
const LOS_ANGELES: Tz = Tz::America__Los_Angeles;

#[test]
fn it_is_open_from_eight_until_before_nine_in_the_evening_there() {
    let window = Window::default();
    for (time, open) in [
        ("07:59", false),
        ("08:00", true),
        ("20:59", true),
        ("21:00", false),
    ] {
        // in winter and in summer
        for day in ["2026-01-14", "2026-07-14"] {
            let at = local(NEW_YORK, &format!("{day} {time}"));
            assert_eq!(window.is_open(&[NEW_YORK], at), open, "{day} {time}");
        }
    }
    assert!(!window.is_open(&[], utc("2026-01-14 15:00:00")));
}

#[test]
fn in_doubt_it_is_open_when_it_is_everywhere() {
    let window = Window::default();
    let zones = [NEW_YORK, LOS_ANGELES];
    for (in_new_york, open) in [
        ("10:59", false),
        ("11:00", true),
        ("20:59", true),
        ("21:00", false),
    ] {
        let at = local(NEW_YORK, &format!("2026-03-02 {in_new_york}"));
        assert_eq!(window.is_open(&zones, at), open, "{in_new_york}");
    }
    let early = local(NEW_YORK, "2026-03-02 06:00");
    assert_eq!(
        window.next_opening(&zones, early),
        Some(local(NEW_YORK, "2026-03-02 11:00"))
    );
    let late = local(NEW_YORK, "2026-03-02 21:30");
    assert_eq!(
        window.next_opening(&zones, late),
        Some(local(NEW_YORK, "2026-03-03 11:00"))
    );
    // noon here is midnight there
    let world = [Tz::Europe__London, Tz::Pacific__Auckland, LOS_ANGELES];
    let narrow = Window::hours(9 * 60, 17 * 60).unwrap();
    assert_eq!(narrow.next_opening(&world, early), None);
    assert_eq!(narrow.next_opening(&[], early), None);
}

#[test]
fn weekends_and_holidays_are_passed_over() {
    use Weekday::{Fri, Mon, Thu, Tue, Wed};
    let christmas = NaiveDate::from_ymd_opt(2026, 12, 25).unwrap();
    let window = Window::hours(9 * 60, 17 * 60)
        .unwrap()
        .on([Mon, Tue, Wed, Thu, Fri])
        .except([christmas]);
    let berlin = [Tz::Europe__Berlin];
    // Thursday evening; Friday is Christmas, then a weekend
    let from = local(berlin[0], "2026-12-24 17:00");
    let monday = local(berlin[0], "2026-12-28 09:00");
    assert_eq!(window.next_opening(&berlin, from), Some(monday));
    assert!(!window.is_open(&berlin, local(berlin[0], "2026-12-25 12:00")));
    assert_eq!(window.clone().on([]).next_opening(&berlin, from), None);
    let whole = Window::hours(0, 1440).unwrap();
    assert_eq!(whole.next_opening(&berlin, from), Some(from));
    assert_eq!(Window::hours(60, 60), Err(NoHours));
    assert_eq!(Window::hours(0, 1441), Err(NoHours));
}

#[test]
fn the_clock_put_forward_moves_the_opening_and_may_jump_over_it() {
    let window = Window::default();
    // on the night to 8 March 2026 New York goes from 2:00 to 3:00: eight is an hour earlier in UTC
    for (day, opening) in [("07", "2026-03-07 13:00:00"), ("08", "2026-03-08 12:00:00")] {
        let night = utc(&format!("2026-03-{day} 06:30:00"));
        assert_eq!(window.next_opening(&[NEW_YORK], night), Some(utc(opening)));
    }
    // there is no 2:15 on that day: a window that opens then opens at 3:00
    let early = Window::hours(2 * 60 + 15, 6 * 60).unwrap();
    let night = utc("2026-03-08 06:30:00");
    assert_eq!(
        early.next_opening(&[NEW_YORK], night),
        Some(utc("2026-03-08 07:00:00"))
    );
    // and one that is within the hour that is not there is not open at all on that day
    let gone = Window::hours(2 * 60 + 15, 2 * 60 + 45).unwrap();
    assert_eq!(
        gone.next_opening(&[NEW_YORK], night),
        Some(utc("2026-03-09 06:15:00"))
    );
}

#[test]
fn the_clock_put_back_shows_an_hour_twice() {
    // on the night to 1 November 2026 New York has 1:00 to 2:00 twice, from 5:00 and from 6:00 UTC
    let window = Window::hours(60 + 30, 60 + 40).unwrap();
    let zone = [NEW_YORK];
    let first = utc("2026-11-01 05:30:00");
    let second = utc("2026-11-01 06:30:00");
    assert_eq!(
        window.next_opening(&zone, utc("2026-11-01 04:00:00")),
        Some(first)
    );
    assert!(window.is_open(&zone, first) && window.is_open(&zone, second));
    assert!(!window.is_open(&zone, utc("2026-11-01 05:40:00")));
    assert_eq!(
        window.next_opening(&zone, utc("2026-11-01 05:40:00")),
        Some(second)
    );
    let morning = Window::default().next_opening(&zone, first);
    assert_eq!(morning, Some(utc("2026-11-01 13:00:00")));
}

#[test]
fn a_tenant_narrows_and_never_widens() {
    let law = Window::default();
    let wide = Window::hours(0, 1440).unwrap();
    assert_eq!(law.within(&wide), Some(law.clone()));
    let narrow = Window::hours(9 * 60, 22 * 60).unwrap().on([Weekday::Mon]);
    let both = law.within(&narrow).unwrap();
    assert_eq!((both.opens_min, both.closes_min, both.days), (540, 1260, 1));
    assert_eq!(law.within(&Window::hours(0, 60).unwrap()), None);
}

#[test]
fn what_waited_does_not_begin_all_at_once() {
    let window = Window::default();
    let night = local(NEW_YORK, "2026-03-02 03:00");
    let opening = local(NEW_YORK, "2026-03-02 08:00");
    let ten = TimeDelta::minutes(10);
    let spread = |chance| window.next_opening_spread(&[NEW_YORK], night, (ten, chance));
    assert_eq!(spread(0), Some(opening));
    assert_eq!(spread(90_000), Some(opening + TimeDelta::seconds(90)));
    assert_eq!(spread(600_000), Some(opening));
    let brief = Window::hours(480, 481).unwrap();
    let at = brief.next_opening_spread(&[NEW_YORK], night, (ten, 90_000));
    assert_eq!(at, Some(opening));
    // who may be called now is
    let noon = local(NEW_YORK, "2026-03-02 12:00");
    assert_eq!(
        window.next_opening_spread(&[NEW_YORK], noon, (ten, 90_000)),
        Some(noon)
    );
}

proptest! {
    #[test]
    fn the_next_opening_is_open_and_the_first(
        hour in 0_i64..24 * 800,
        minute in 0_i64..60,
        opens in 0_u16..1439,
        length in 1_u16..1440,
        days in 1_u8..128,
        which in proptest::collection::vec(0_usize..6, 1..3),
    ) {
        let all = [
            NEW_YORK, LOS_ANGELES, Tz::Europe__Berlin, Tz::Asia__Kolkata,
            Tz::Australia__Lord_Howe, Tz::America__St_Johns,
        ];
        let zones: Vec<Tz> = which.into_iter().map(|at| all[at]).collect();
        let mut window = Window::hours(opens, (opens + length).min(1440)).unwrap();
        window.days = days;
        let from = utc("2026-01-01 00:00:00") + TimeDelta::hours(hour) + TimeDelta::minutes(minute);
        let found = window.next_opening(&zones, from);
        // what a walk through the minutes of two weeks says
        let walked = (0..14 * 1440)
            .map(|ahead| from + TimeDelta::minutes(ahead))
            .find(|at| window.is_open(&zones, *at));
        match walked {
            Some(at) => prop_assert_eq!(found, Some(at)),
            None => prop_assert!(found.is_none_or(|at| at >= from + TimeDelta::days(14))),
        }
    }
}
