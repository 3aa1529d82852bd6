//! `antiphon keys`: API keys without a database tool, also while the server runs.
//! `main` calls it.
//! It never shows a key again after it was made: the database has only its hash.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};
use gateway::{
    Config,
    audit::Actor,
    auth::{ApiKeys, DEFAULT_PROJECT, DEFAULT_TENANT, NewKey, Scope, Scopes},
    clock::Clock,
    observe::Metrics,
};
use serde_json::json;
use store::{ApiKey, Sql, Store};

/// API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is shown this once
    Create(CreateArgs),
    /// Show the keys, without their secrets
    List {
        /// Whose keys
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
        /// One JSON document for programs
        #[arg(long)]
        json: bool,
    },
    /// Make a key open nothing from now on
    Revoke {
        /// Public id, as `keys list` shows it
        id: String,
        /// Whose key it is
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
    },
}

/// What a new key is to be.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What to call it
    #[arg(long)]
    name: String,
    /// Whose it is to be
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
    /// The project it is to belong to
    #[arg(long, default_value = DEFAULT_PROJECT)]
    project: String,
    /// What it may do
    #[command(flatten)]
    rights: Rights,
    /// One JSON document for programs
    #[arg(long)]
    json: bool,
}

/// What a new key may do.
#[derive(Debug, Default, Args)]
struct Rights {
    /// What it may do; may be repeated [default: `realtime:connect`, which is all that applications need]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope, conflicts_with = "operator")]
    scopes: Vec<Scope>,
    /// Let it run the installation: every scope, in the tenant `default`
    #[arg(long)]
    operator: bool,
}

fn scope(name: &str) -> Result<Scope, String> {
    Scope::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
        format!("there are {}", known.join(", "))
    })
}

/// Runs `command` on the database of `config`.
pub(crate) async fn run(
    command: KeysCommand,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let store = Store::open(&config.database(), &config.live()).await?;
    let sql = &store.sql;
    let done = match command {
        KeysCommand::Create(args) => create(sql, args, out).await,
        KeysCommand::List { tenant, json } => list(sql, &tenant, json, out).await,
        KeysCommand::Revoke { id, tenant } => revoke(&store, &tenant, &id, out).await,
    };
    sql.close().await;
    done
}

/// No more than was asked for: conversing, speech and text over every interface of OpenAI's.
fn scopes(args: &CreateArgs) -> anyhow::Result<Scopes> {
    let rights = &args.rights;
    if rights.operator && args.tenant != DEFAULT_TENANT {
        bail!(
            "--operator makes a key of the tenant {DEFAULT_TENANT}, which runs the installation; name what a key of {} may do with --scope",
            args.tenant
        );
    }
    Ok(match (rights.operator, rights.scopes.is_empty()) {
        (true, _) => Scopes::full(),
        (false, true) => std::iter::once(Scope::RealtimeConnect).collect(),
        (false, false) => rights.scopes.iter().copied().collect(),
    })
}

async fn create(sql: &Sql, args: CreateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let keys = ApiKeys::open(sql.clone(), Clock::default(), None).await?;
    let scopes = scopes(&args)?;
    let new = NewKey {
        tenant: args.tenant,
        project: args.project,
        name: args.name,
        scopes,
        expires_at: None,
    };
    if sql.find_project(&new.tenant, &new.project).await?.is_none() {
        bail!(
            "tenant {} has no project {}; `antiphon tenants list` shows the tenants",
            new.tenant,
            new.project
        );
    }
    let made = keys.create(&new, &Actor::command_line()).await?;
    let key = made.text.reveal();
    if args.json {
        let document =
            json!({"id": made.id, "name": new.name, "scopes": scopes.names(), "key": key});
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "{key}")?;
        writeln!(
            out,
            "id {}; this is the only time the key is shown",
            made.id
        )?;
    }
    Ok(())
}

async fn list(sql: &Sql, tenant: &str, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let keys = sql.list_keys(tenant).await?;
    if json {
        let document: Vec<_> = keys.iter().map(document).collect();
        writeln!(out, "{}", serde_json::Value::from(document))?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<24} {:<20} {:<20} {:<10} scopes",
        "id", "name", "made", "state"
    )?;
    for key in keys {
        let state = if key.revoked_at.is_some() {
            "revoked"
        } else {
            "active"
        };
        let made = key.created_at.format("%Y-%m-%d %H:%M:%SZ");
        let scopes = key.scopes.join(" ");
        writeln!(
            out,
            "{:<24} {:<20} {made:<20} {state:<10} {scopes}",
            key.id, key.name
        )?;
    }
    Ok(())
}

fn document(key: &ApiKey) -> serde_json::Value {
    json!({
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "scopes": key.scopes,
        "created_at": key.created_at.to_rfc3339(),
        "last_used_at": key.last_used_at.map(|at| at.to_rfc3339()),
        "revoked_at": key.revoked_at.map(|at| at.to_rfc3339()),
    })
}

async fn revoke(store: &Store, tenant: &str, id: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let keys = ApiKeys::open(store.sql.clone(), Clock::default(), None).await?;
    let keys = keys.sharing(store.live.facts.clone(), Metrics::default());
    if !keys.revoke(tenant, id, &Actor::command_line()).await? {
        bail!("no active key has the id {id}; `antiphon keys list` shows them");
    }
    writeln!(out, "key {id} is revoked")?;
    late(store, out)
}

/// Says so where servers that still reach Redis cannot be told of a change.
pub(crate) fn late(store: &Store, out: &mut impl Write) -> anyhow::Result<()> {
    if store.live.link().is_some() && !store.live.facts.is_here() {
        writeln!(
            out,
            "redis does not answer from here: servers that reach it may take a minute to see this"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use store::Settings;

    use super::*;

    async fn run_in(dir: &std::path::Path, command: KeysCommand) -> anyhow::Result<String> {
        let mut config = Config::default();
        config.server.data_dir = Some(dir.display().to_string());
        let mut out = Vec::new();
        Box::pin(run(command, &config, &mut out)).await?;
        Ok(String::from_utf8(out)?)
    }

    fn args(json: bool) -> CreateArgs {
        CreateArgs {
            name: "laptop".into(),
            tenant: DEFAULT_TENANT.into(),
            project: DEFAULT_PROJECT.into(),
            rights: Rights::default(),
            json,
        }
    }

    fn create(json: bool) -> KeysCommand {
        KeysCommand::Create(args(json))
    }

    #[tokio::test]
    async fn a_key_may_do_no_more_than_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let made = async |args: CreateArgs| -> anyhow::Result<Vec<String>> {
            let text = Box::pin(run_in(dir.path(), KeysCommand::Create(args))).await?;
            let made: serde_json::Value = serde_json::from_str(&text)?;
            Ok(serde_json::from_value(made["scopes"].clone())?)
        };
        assert_eq!(made(args(true)).await.unwrap(), ["realtime:connect"]);
        let some = CreateArgs {
            rights: Rights {
                scopes: vec![Scope::BillingRead],
                ..Rights::default()
            },
            ..args(true)
        };
        assert_eq!(made(some).await.unwrap(), ["billing:read"]);
        let operator = || Rights {
            operator: true,
            ..Rights::default()
        };
        let all = CreateArgs {
            rights: operator(),
            ..args(true)
        };
        assert_eq!(made(all).await.unwrap(), Scopes::full().names());
        // nobody else's key runs the installation
        let another = CreateArgs {
            rights: operator(),
            tenant: "acme".into(),
            ..args(true)
        };
        let refused = made(another).await.unwrap_err().to_string();
        assert!(refused.contains("--scope"), "{refused}");
    }

    fn listing(json: bool) -> KeysCommand {
        KeysCommand::List {
            tenant: DEFAULT_TENANT.to_owned(),
            json,
        }
    }

    #[tokio::test]
    async fn a_key_lives_from_making_to_revoking() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let made: serde_json::Value =
            serde_json::from_str(&run_in(dir, create(true)).await.unwrap()).unwrap();
        let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
        assert_eq!(made["scopes"], json!(["realtime:connect"]));

        let sql = Sql::open(&Settings::at(format!(
            "sqlite:{}",
            dir.join("antiphon.db").display()
        )))
        .await
        .unwrap();
        let keys = ApiKeys::open(sql.clone(), Clock::default(), None)
            .await
            .unwrap();
        keys.verify(key).await.unwrap();

        let table = run_in(dir, listing(false)).await.unwrap();
        assert!(table.contains(id) && table.contains("laptop") && table.contains("active"));
        assert!(!table.contains(key), "a key is shown once");

        let revoke = |id: &str| KeysCommand::Revoke {
            id: id.to_owned(),
            tenant: DEFAULT_TENANT.to_owned(),
        };
        run_in(dir, revoke(id)).await.unwrap();
        let again = ApiKeys::open(sql, Clock::default(), None).await.unwrap();
        again.verify(key).await.unwrap_err();
        let error = run_in(dir, revoke(id)).await.unwrap_err().to_string();
        assert!(error.contains("no active key has the id"), "{error}");
        let listed = run_in(dir, listing(true)).await.unwrap();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert!(listed[0]["revoked_at"].is_string(), "{listed}");
    }

    #[tokio::test]
    async fn people_get_the_key_on_a_line_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let text = run_in(dir.path(), create(false)).await.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(!lines[0].contains(' ') && lines[0].len() > 30, "{text}");
    }
}
