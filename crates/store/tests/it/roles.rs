//! Who opens the database: two roles, one, or one too mighty; and what is saved of it.

use store::{NewApiKey, Settings, Sql, StoreError};

use crate::backend::{act, as_application};
use crate::postgres::{APPLICATION, Database, OWNER, SUPERUSER, Server};

const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";

fn database() -> Database<'static> {
    Server::shared().database(OWNER)
}

async fn create_key(sql: &Sql) {
    let key = NewApiKey {
        id: "k1",
        tenant: "acme",
        project: "default",
        name: "laptop",
        scopes: &[],
        hash: "$argon2id$…",
        created_at: chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
        expires_at: None,
    };
    sql.create_key(&key, &act(key.created_at)).await.unwrap();
}

#[tokio::test]
async fn a_role_that_no_policy_binds_is_refused_before_it_changes_anything() {
    let database = database();
    let mighty = format!("mighty_{}", std::process::id());
    let make = format!("CREATE ROLE {mighty} LOGIN BYPASSRLS");
    database.psql(SUPERUSER, &make).unwrap();
    for role in [SUPERUSER, &mighty] {
        let mut settings = Settings::at(database.url(role));
        settings.owner_url = Some(database.url(OWNER));
        let refused = Sql::open(&settings).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::Role { role: named } if named == role),
            "{refused:?}"
        );
    }
    assert_eq!(database.psql(SUPERUSER, TABLES).unwrap(), "0");
}

#[tokio::test]
async fn one_role_may_own_the_tables_and_work_on_them() {
    let database = Server::shared().database(APPLICATION);
    let sql = Sql::open(&Settings::at(database.url(APPLICATION)))
        .await
        .unwrap();
    create_key(&sql).await;
    assert_eq!(sql.list_keys("acme").await.unwrap().len(), 1);
    assert!(sql.list_keys("rival").await.unwrap().is_empty());
    // bound by the walls as any other
    let seen = database.psql(APPLICATION, "SELECT count(*) FROM api_keys");
    assert_eq!(seen.unwrap(), "0");
}

#[tokio::test]
async fn an_application_that_may_change_no_tables_needs_them_up_to_date() {
    let database = database();
    let alone = Settings::at(database.url(APPLICATION));
    let behind = |opened: Result<Sql, StoreError>| matches!(opened, Err(StoreError::Behind { role }) if role == APPLICATION);
    assert!(behind(Sql::open(&alone).await));
    Sql::open(&as_application(&database)).await.unwrap();
    create_key(&Sql::open(&alone).await.unwrap()).await;

    let by_hand = |sql: &str| database.psql(SUPERUSER, sql).unwrap();
    by_hand("UPDATE _sqlx_migrations SET version = 99 WHERE version = 2");
    assert!(behind(Sql::open(&alone).await));
    by_hand(
        "INSERT INTO _sqlx_migrations SELECT 2, description, installed_on, success, checksum, 0 FROM _sqlx_migrations WHERE version = 99",
    );
    let newer = Sql::open(&alone).await;
    assert!(matches!(newer, Err(StoreError::Migrate(_))), "{newer:?}");
    by_hand(
        "DELETE FROM _sqlx_migrations WHERE version = 99; UPDATE _sqlx_migrations SET checksum = ''",
    );
    let other = Sql::open(&alone).await;
    assert!(matches!(other, Err(StoreError::Migrate(_))), "{other:?}");
}

#[tokio::test]
async fn many_that_start_at_once_on_an_empty_database_all_start() {
    let settings = as_application(&database());
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let settings = settings.clone();
        starting.spawn(async move { Sql::open(&settings).await.unwrap().ping().await.unwrap() });
    }
    assert_eq!(starting.join_all().await.len(), 8);
}

#[tokio::test]
async fn a_backup_has_every_tenant_and_can_be_put_back() {
    let first = database();
    let sql = Sql::open(&as_application(&first)).await.unwrap();
    create_key(&sql).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.dump");
    // whoever is bound by the walls would save empty tables: the tool refuses
    let refused = first.dump(OWNER, &file).unwrap_err();
    assert!(refused.contains("row-level security"), "{refused}");
    let keeper = format!("keeper_{}", std::process::id());
    let make = format!("CREATE ROLE {keeper} LOGIN BYPASSRLS; GRANT pg_read_all_data TO {keeper}");
    first.psql(SUPERUSER, &make).unwrap();
    first.dump(&keeper, &file).unwrap();

    let second = database();
    second.restore(SUPERUSER, &file).unwrap();
    let sql = Sql::open(&as_application(&second)).await.unwrap();
    assert_eq!(sql.list_keys("acme").await.unwrap().len(), 1);
    let seen = second.psql(APPLICATION, "SELECT count(*) FROM api_keys");
    assert_eq!(seen.unwrap(), "0", "the walls come back as well");
}
