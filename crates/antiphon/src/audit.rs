//! `antiphon audit`: whether what administrators did is still written down as it was written.
//! `main` calls it; a fault ends the program with 1.
//! It never repairs anything.

use std::io::Write;

use clap::Subcommand;
use gateway::Config;
use serde_json::{Value, json};
use store::{Chain, Fault, Sql};

/// The audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of every tenant's log; keep the printed hashes elsewhere to compare them later
    Verify {
        /// Only this tenant's
        #[arg(long)]
        tenant: Option<String>,
        /// One JSON document for programs
        #[arg(long)]
        json: bool,
    },
}

/// Runs `command` on the database of `config`; says whether everything is as it was written.
pub(crate) async fn run(
    command: AuditCommand,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let AuditCommand::Verify { tenant, json } = command;
    let sql = Sql::open(&config.database()).await?;
    let found = verify(&sql, tenant).await;
    sql.close().await;
    let found = found?;
    let is_whole = found.iter().all(|(_, chain)| chain.fault.is_none());
    if json {
        let document: Vec<Value> = found.iter().map(document).collect();
        writeln!(out, "{}", Value::from(document))?;
        return Ok(is_whole);
    }
    for (tenant, chain) in &found {
        let verdict = chain.fault.map_or("whole".to_owned(), sentence);
        let head = if chain.head.is_empty() {
            "-"
        } else {
            &chain.head
        };
        writeln!(
            out,
            "{tenant:<30} {} entries, last {head}: {verdict}",
            chain.entries
        )?;
    }
    Ok(is_whole)
}

async fn verify(sql: &Sql, tenant: Option<String>) -> anyhow::Result<Vec<(String, Chain)>> {
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => sql.audited_tenants().await?,
    };
    let mut found = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let chain = sql.verify_audit(&tenant).await?;
        found.push((tenant, chain));
    }
    Ok(found)
}

fn sentence(fault: Fault) -> String {
    match fault {
        Fault::Missing(seq) => format!("BROKEN: entry {seq} is missing"),
        Fault::Changed(seq) => format!("BROKEN: entry {seq} is not what was written"),
        Fault::Cut(seq) => format!("BROKEN: entries after {seq} have been cut off"),
    }
}

fn document((tenant, chain): &(String, Chain)) -> Value {
    json!({
        "tenant": tenant, "entries": chain.entries, "head": chain.head,
        "fault": chain.fault.map(sentence),
    })
}
