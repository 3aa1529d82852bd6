//! Client secrets: used once, in time, and never more than the limit.

use serde_json::json;
use store::StoreError;
use store::live::secrets::LIFETIME_MAX_S;
use store::live::{ClientSecret, Live, Secrets};

use crate::live::Gateways;

/// What sessions may have in the story of large ones.
const BYTES: usize = 1000;

pub(crate) fn entry(expires_at: i64) -> ClientSecret {
    ClientSecret {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        key_id: "k1".to_owned(),
        session: json!({ "type": "realtime" }),
        expires_at,
    }
}

/// Opens two gateways with keys of their own for a story, and so many secrets at the same time.
pub(crate) async fn all(open: impl AsyncFn(&'static str, usize) -> Gateways) {
    a_secret_is_handed_out_once(open("once", 10).await).await;
    a_secret_ends_at_its_time(open("time", 10).await).await;
    a_secret_lives_ten_minutes_at_most(open("life", 10).await).await;
    a_full_store_makes_room_from_expired_ones_only(open("full", 2).await).await;
    of_many_who_show_the_same_secret_one_wins(open("many", 10).await).await;
    large_sessions_find_the_store_full_before_many_do(open("large", 10).await).await;
}

async fn a_secret_is_handed_out_once(Gateways { one, other }: Gateways) {
    one.secrets.put("ek_a", entry(100), 0).await.unwrap();
    assert_eq!(other.secrets.take("ek_b", 1).await.unwrap(), None);
    assert_eq!(
        other.secrets.take("ek_a", 99).await.unwrap(),
        Some(entry(100))
    );
    assert_eq!(one.secrets.take("ek_a", 99).await.unwrap(), None);
    assert_eq!(one.secrets.waiting().await.unwrap(), 0);
}

async fn a_secret_ends_at_its_time(Gateways { one, .. }: Gateways) {
    one.secrets.put("ek_a", entry(100), 0).await.unwrap();
    assert_eq!(one.secrets.take("ek_a", 100).await.unwrap(), None);
    assert_eq!(one.secrets.waiting().await.unwrap(), 0);
}

async fn a_secret_lives_ten_minutes_at_most(Gateways { one, .. }: Gateways) {
    let latest = 50 + i64::from(LIFETIME_MAX_S);
    one.secrets.put("ek_a", entry(7200), 50).await.unwrap();
    let taken = one.secrets.take("ek_a", latest - 1).await.unwrap();
    assert_eq!(taken, Some(entry(latest)));
}

async fn a_full_store_makes_room_from_expired_ones_only(Gateways { one, other }: Gateways) {
    one.secrets.put("ek_a", entry(100), 0).await.unwrap();
    other.secrets.put("ek_b", entry(200), 0).await.unwrap();
    assert!(matches!(
        one.secrets.put("ek_c", entry(300), 50).await,
        Err(StoreError::Full { limit: 2 })
    ));
    other.secrets.put("ek_c", entry(300), 150).await.unwrap();
    assert_eq!(one.secrets.waiting().await.unwrap(), 2);
    for secret in ["ek_b", "ek_c"] {
        assert!(one.secrets.take(secret, 150).await.unwrap().is_some());
    }
}

async fn of_many_who_show_the_same_secret_one_wins(Gateways { one, other }: Gateways) {
    for round in 0..20 {
        let secret = format!("ek_{round}");
        one.secrets.put(&secret, entry(100), 0).await.unwrap();
        let takers: Vec<_> = (0..100)
            .map(|taker| {
                let secrets = [&one, &other][taker % 2].secrets.clone();
                let secret = secret.clone();
                tokio::spawn(async move { secrets.take(&secret, 1).await.unwrap().is_some() })
            })
            .collect();
        let mut winners = 0;
        for taker in takers {
            winners += usize::from(taker.await.unwrap());
        }
        assert_eq!(winners, 1, "round {round}");
    }
}

/// The same backend with fewer bytes.
fn small(live: &Live) -> Secrets {
    match live.link() {
        Some(link) => Secrets::redis(link.clone(), 10, BYTES),
        None => Secrets::memory(10, BYTES),
    }
}

async fn large_sessions_find_the_store_full_before_many_do(gateways: Gateways) {
    let secrets = small(&gateways.one);
    let large = |expires_at| ClientSecret {
        session: json!({ "instructions": "x".repeat(BYTES * 2 / 3) }),
        ..entry(expires_at)
    };
    secrets.put("ek_a", large(100), 0).await.unwrap();
    assert!(matches!(
        secrets.put("ek_b", large(200), 50).await,
        Err(StoreError::FullBytes { limit: BYTES })
    ));
    secrets.put("ek_small", entry(200), 50).await.unwrap();
    secrets.put("ek_b", large(200), 150).await.unwrap();
    assert_eq!(secrets.waiting().await.unwrap(), 2);
    // what was taken makes room as well
    assert_eq!(secrets.take("ek_b", 150).await.unwrap(), Some(large(200)));
    secrets.put("ek_c", large(200), 150).await.unwrap();
}

#[tokio::test]
async fn a_purge_forgets_what_has_expired() {
    let secrets = Secrets::memory(10, BYTES);
    secrets.put("ek_a", entry(100), 0).await.unwrap();
    secrets.put("ek_b", entry(200), 0).await.unwrap();
    secrets.purge(100);
    assert_eq!(secrets.waiting().await.unwrap(), 1);
    assert!(secrets.take("ek_b", 100).await.unwrap().is_some());
}
