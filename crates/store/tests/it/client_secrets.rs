//! Client secrets: used once, in time, and never more than the limit.

use serde_json::json;
use store::StoreError;
use store::live::{ClientSecret, Secrets};

const BYTES: usize = 1000;

fn entry(expires_at: i64) -> ClientSecret {
    ClientSecret {
        tenant: "default".to_owned(),
        key_id: "k1".to_owned(),
        session: json!({ "type": "realtime" }),
        expires_at,
    }
}

#[test]
fn a_secret_is_handed_out_once() {
    let secrets = Secrets::memory(10, BYTES);
    secrets.put("ek_a", entry(100), 0).unwrap();
    assert_eq!(secrets.take("ek_b", 1), None);
    assert_eq!(secrets.take("ek_a", 99), Some(entry(100)));
    assert_eq!(secrets.take("ek_a", 99), None);
}

#[test]
fn a_secret_ends_at_its_time() {
    let secrets = Secrets::memory(10, BYTES);
    secrets.put("ek_a", entry(100), 0).unwrap();
    assert_eq!(secrets.take("ek_a", 100), None);
    assert!(secrets.is_empty());
}

#[test]
fn a_full_store_makes_room_from_expired_ones_only() {
    let secrets = Secrets::memory(2, BYTES);
    secrets.put("ek_a", entry(100), 0).unwrap();
    secrets.put("ek_b", entry(200), 0).unwrap();
    assert!(matches!(
        secrets.put("ek_c", entry(300), 50),
        Err(StoreError::Full { limit: 2 })
    ));
    secrets.put("ek_c", entry(300), 150).unwrap();
    assert_eq!(secrets.len(), 2);
    assert!(secrets.take("ek_b", 150).is_some() && secrets.take("ek_c", 150).is_some());
}

#[test]
fn of_many_who_show_the_same_secret_one_wins() {
    let secrets = Secrets::memory(10, BYTES);
    secrets.put("ek_a", entry(100), 0).unwrap();
    let winners: usize = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(secrets.take("ek_a", 1).is_some())))
            .collect();
        takers.into_iter().map(|taker| taker.join().unwrap()).sum()
    });
    assert_eq!(winners, 1);
}

#[test]
fn large_sessions_find_the_store_full_before_many_do() {
    let secrets = Secrets::memory(10, BYTES);
    let large = |expires_at| ClientSecret {
        session: json!({ "instructions": "x".repeat(BYTES * 2 / 3) }),
        ..entry(expires_at)
    };
    secrets.put("ek_a", large(100), 0).unwrap();
    assert!(matches!(
        secrets.put("ek_b", large(200), 50),
        Err(StoreError::FullBytes { limit: BYTES })
    ));
    secrets.put("ek_small", entry(200), 50).unwrap();
    secrets.put("ek_b", large(200), 150).unwrap();
    assert_eq!(secrets.len(), 2);
    // what was taken makes room as well
    assert_eq!(secrets.take("ek_b", 150), Some(large(200)));
    secrets.put("ek_c", large(200), 150).unwrap();
}

#[test]
fn a_purge_forgets_what_has_expired() {
    let secrets = Secrets::memory(10, BYTES);
    secrets.put("ek_a", entry(100), 0).unwrap();
    secrets.put("ek_b", entry(200), 0).unwrap();
    secrets.purge(100);
    assert_eq!(secrets.len(), 1);
    assert!(secrets.take("ek_b", 100).is_some());
}
