//! `antiphon tenants`: the customers of an installation, also while servers run.
//! `main` calls it.
//! It never shows a tenant's key again after the tenant was made.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};
use gateway::Config;
use gateway::audit::Actor;
use gateway::auth::ApiKeys;
use gateway::clock::Clock;
use gateway::retention::{self, RETENTION_DAYS};
use gateway::tenants::{self, FIRST_PLAN, NewTenant};
use serde_json::{Value, json};
use store::{Sql, Store, Tenant, TenantLimits, TenantStatus};

use crate::keys::late;

/// Tenants read at a time.
const PAGE: u32 = 1000;

/// Tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// Make a tenant; its first key is shown this once
    Create(CreateArgs),
    /// Show the tenants
    List {
        /// One JSON document for programs
        #[arg(long)]
        json: bool,
    },
    /// Keep a tenant out; its conversations end within a minute
    Suspend {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a suspended tenant in again
    Activate {
        /// Its id
        id: String,
    },
    /// Keep a tenant's conversations for so many days; without a number, as its plan says
    Keep {
        /// Its id
        id: String,
        /// 1 to 3650
        #[arg(long)]
        days: Option<u32>,
    },
    /// Take a tenant's keys, agents, projects and conversations away for ever; its audit log stays
    Delete {
        /// Its id
        id: String,
    },
}

/// What a new tenant is to be.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What to call it
    #[arg(long)]
    name: String,
    /// Its id for ever [default: made up]
    #[arg(long)]
    id: Option<String>,
    /// Its plan
    #[arg(long, default_value = FIRST_PLAN)]
    plan: String,
    /// One JSON document for programs
    #[arg(long)]
    json: bool,
}

/// Runs `command` on the database of `config`.
pub(crate) async fn run(
    command: TenantsCommand,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let store = Store::open(&config.database(), &config.live()).await?;
    let sql = &store.sql;
    let done = match command {
        TenantsCommand::Create(args) => create(sql, config, args, out).await,
        TenantsCommand::List { json } => list(sql, json, out).await,
        TenantsCommand::Suspend { id, reason } => {
            turn(&store, &id, (TenantStatus::Suspended, reason), out).await
        }
        TenantsCommand::Activate { id } => {
            turn(&store, &id, (TenantStatus::Active, None), out).await
        }
        TenantsCommand::Keep { id, days } => keep(&store, config, (&id, days), out).await,
        TenantsCommand::Delete { id } => {
            turn(&store, &id, (TenantStatus::Deleted, None), out).await
        }
    };
    sql.close().await;
    done
}

async fn create(
    sql: &Sql,
    config: &Config,
    args: CreateArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if config.plan(&args.plan).is_none() {
        let known = config.plan_names().join(", ");
        bail!("there is no plan {}; there are {known}", args.plan);
    }
    if args.id.as_deref().is_some_and(|id| !tenants::is_id(id)) {
        bail!("an id has 3 to 50 of the characters a to z, 0 to 9 and -, and begins with a letter");
    }
    let clock = Clock::default();
    let keys = ApiKeys::open(sql.clone(), clock.clone(), None).await?;
    let new = NewTenant {
        id: args.id,
        name: args.name,
        plan: args.plan,
        limits: TenantLimits::default(),
    };
    let by = Actor::command_line();
    let (tenant, key) = tenants::create(sql, &keys, new, &by, clock.utc()).await?;
    let text = key.text.reveal();
    if args.json {
        let mut shown = document(&tenant);
        shown["api_key"] = json!({ "id": key.id, "key": text });
        writeln!(out, "{shown}")?;
    } else {
        writeln!(out, "{text}")?;
        writeln!(
            out,
            "the first key of tenant {}; this is the only time it is shown",
            tenant.id
        )?;
    }
    Ok(())
}

async fn list(sql: &Sql, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut tenants: Vec<Tenant> = Vec::new();
    loop {
        let after = tenants.last().map(|tenant| tenant.id.clone());
        let page = sql.list_tenants(&after.unwrap_or_default(), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        tenants.extend(page);
        if is_last {
            break;
        }
    }
    if json {
        let document: Vec<Value> = tenants.iter().map(document).collect();
        writeln!(out, "{}", Value::from(document))?;
        return Ok(());
    }
    writeln!(out, "{:<30} {:<12} {:<10} name", "id", "plan", "status")?;
    for tenant in tenants {
        let status = tenant.status.name();
        writeln!(
            out,
            "{:<30} {:<12} {status:<10} {}",
            tenant.id, tenant.plan, tenant.name
        )?;
    }
    Ok(())
}

async fn turn(
    store: &Store,
    id: &str,
    status: (TenantStatus, Option<String>),
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let now = Clock::default().utc();
    let tenant = tenants::turn(store, id, status, &Actor::command_line(), now).await?;
    writeln!(out, "tenant {id} is {}", tenant.status.name())?;
    late(store, out)?;
    Ok(())
}

async fn keep(
    store: &Store,
    config: &Config,
    (id, days): (&str, Option<u32>),
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
        let (first, last) = RETENTION_DAYS.into_inner();
        bail!("conversations are kept for {first} to {last} days");
    }
    let now = Clock::default().utc();
    let tenant = tenants::keep(store, id, days, &Actor::command_line(), now).await?;
    let days = retention::days(config, id, &tenant.plan, &tenant.limits);
    late(store, out)?;
    writeln!(out, "conversations of tenant {id} are kept for {days} days")?;
    Ok(())
}

fn document(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id, "name": tenant.name, "plan": tenant.plan, "status": tenant.status,
        "reason": tenant.reason, "limits": tenant.limits,
        "created_at": tenant.created_at.to_rfc3339(), "updated_at": tenant.updated_at.to_rfc3339(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{self, AuditCommand};

    async fn run_in(config: &Config, command: TenantsCommand) -> anyhow::Result<String> {
        let mut out = Vec::new();
        run(command, config, &mut out).await?;
        Ok(String::from_utf8(out)?)
    }

    fn create(id: &str, plan: &str) -> TenantsCommand {
        TenantsCommand::Create(CreateArgs {
            name: "Acme".into(),
            id: Some(id.into()),
            plan: plan.into(),
            json: true,
        })
    }

    #[tokio::test]
    async fn a_tenant_comes_is_kept_out_and_goes_and_the_log_has_it_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.data_dir = Some(dir.path().display().to_string());
        let made = run_in(&config, create("acme", "pro")).await.unwrap();
        let made: Value = serde_json::from_str(&made).unwrap();
        let key = made["api_key"]["key"].as_str().unwrap();
        let sql = Sql::open(&config.database()).await.unwrap();
        let keys = ApiKeys::open(sql.clone(), Clock::default(), None)
            .await
            .unwrap();
        let who = keys.verify(key).await.unwrap();
        assert_eq!((who.tenant.as_str(), who.is_operator()), ("acme", false));

        for (id, plan, complaint) in [
            ("acme", "pro", "there is or was"),
            ("acme2", "gold", "there are enterprise, free, pro"),
            ("A", "pro", "3 to 50"),
        ] {
            let error = run_in(&config, create(id, plan)).await.unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
        }

        let id = || "acme".to_owned();
        let suspend = TenantsCommand::Suspend {
            id: id(),
            reason: Some("invoice".to_owned()),
        };
        run_in(&config, suspend).await.unwrap();
        let listed = run_in(&config, TenantsCommand::List { json: false }).await;
        assert!(listed.unwrap().contains("suspended"));
        run_in(&config, TenantsCommand::Activate { id: id() })
            .await
            .unwrap();
        for (days, kept) in [(Some(9), "for 9 days"), (None, "for 90 days")] {
            let keep = TenantsCommand::Keep { id: id(), days };
            let said = run_in(&config, keep).await.unwrap();
            assert!(said.contains(kept), "{said}");
        }
        let days = Some(4000);
        let never = run_in(&config, TenantsCommand::Keep { id: id(), days }).await;
        assert!(never.unwrap_err().to_string().contains("1 to 3650"));
        run_in(&config, TenantsCommand::Delete { id: id() })
            .await
            .unwrap();
        let again = run_in(&config, TenantsCommand::Delete { id: id() }).await;
        assert!(again.unwrap_err().to_string().contains("no tenant has"));
        let own = TenantsCommand::Suspend {
            id: "default".to_owned(),
            reason: None,
        };
        let own = run_in(&config, own).await.unwrap_err().to_string();
        assert!(own.contains("operator's own"), "{own}");

        let mut out = Vec::new();
        let verify = AuditCommand::Verify {
            tenant: None,
            json: false,
        };
        assert!(audit::run(verify, &config, &mut out).await.unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("acme") && text.contains("6 entries"),
            "{text}"
        );
    }
}
