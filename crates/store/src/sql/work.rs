//! One piece of work, written once, on either database.
//! Used by the modules of the tables.
//! Never lets work see more rows than its scope names.

/// Runs `$work` in a transaction, with a connection of whichever driver there is under the name `$on`.
///
/// A macro and no function: the work is compiled once for each driver. It gives a `Result` with the driver's error;
/// an error, and a caller who goes away, undo everything it did.
macro_rules! work {
    ($sql:expr, $access:ident, $scope:expr, $action:expr, |$on:ident| $work:expr) => {{
        let (scope, action): ($crate::sql::Scope<'_>, &'static str) = ($scope, $action);
        match &$sql.db {
            $crate::sql::Db::Sqlite(pools) => {
                let done = async {
                    let mut transaction = pools.begin($crate::sql::Access::$access).await?;
                    let $on = &mut *transaction;
                    let done: Result<_, sqlx::Error> = async { $work }.await;
                    let done = done?;
                    transaction.commit().await?;
                    Ok(done)
                };
                done.await.map_err($crate::StoreError::query(action))
            }
            $crate::sql::Db::Postgres(server) => {
                let done = async {
                    let mut transaction = server.begin($crate::sql::Access::$access, scope).await?;
                    let $on = &mut *transaction;
                    let done: Result<_, sqlx::Error> = async { $work }.await;
                    let done = done?;
                    transaction.commit().await?;
                    Ok(done)
                };
                server.within(action, done).await
            }
        }
    }};
}
