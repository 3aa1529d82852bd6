//! What is true of SQLite's files alone.

use store::{Settings, Sql, StoreError};

#[tokio::test]
async fn a_file_that_cannot_be_made_is_named() {
    let unusable = Sql::open(&Settings::at("sqlite:/dev/null/antiphon.db")).await;
    assert!(matches!(unusable, Err(StoreError::Open { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let assert_private = || {
        let mut names = Vec::new();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
            names.push(file.file_name());
        }
        names.sort();
        names
    };
    let sql = Sql::open(&Settings::at(&url)).await.unwrap();
    sql.installation_value("checksum", &[1]).await.unwrap();
    let names = assert_private();
    assert_eq!(names, ["antiphon.db", "antiphon.db-shm", "antiphon.db-wal"]);
    sql.close().await;

    // a database of an earlier build, which everybody could read
    let file = folder.path().join("antiphon.db");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _again = Sql::open(&Settings::at(&url)).await.unwrap();
    assert_private();
}
