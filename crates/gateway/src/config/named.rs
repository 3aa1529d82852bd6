//! Sections with members of the operator's choice: `[providers.NAME]`, `[pipelines.NAME]`, `[plans.NAME]` and
//! `[telephony.accounts.NAME]`.
//! Used where layers are put on top of each other, checked and documented.
//! Never opens a provider: whether a vendor takes its key shows later.

use providers::catalog::{WELL_KNOWN, well_known};
use providers::{ProviderKind, Workers, scripted};
use serde_json::{Map, Value};

use super::check::Problem;
use super::{CarrierAccount, Config, NamedPipeline, Plan, Provider};

/// Pipelines that need no section.
const BUILT_IN: [&str; 3] = ["local", scripted::NAME, Workers::NAME];

/// The section with members that stands inside another one.
const ACCOUNTS: &str = "telephony.accounts";

/// A dotted key's section, and what is behind it.
pub(super) fn split(key: &str) -> (&str, &str) {
    let nested = key
        .strip_prefix(ACCOUNTS)
        .and_then(|rest| rest.strip_prefix('.'));
    nested.map_or_else(
        || key.split_once('.').unwrap_or((key, "")),
        |rest| (ACCOUNTS, rest),
    )
}

/// A section's place in the tree.
pub(super) fn pointer(section: &str) -> String {
    format!("/{}", section.replace('.', "/"))
}

/// Whether a section has members.
pub(super) fn is_named(section: &str) -> bool {
    defaults(section).is_some()
}

/// The keys of a member with their defaults; `None` for a section without members.
pub(super) fn defaults(section: &str) -> Option<Value> {
    match section {
        "providers" => serde_json::to_value(Provider::default()).ok(),
        "plans" => serde_json::to_value(Plan::default()).ok(),
        "pipelines" => serde_json::to_value(NamedPipeline::default()).ok(),
        ACCOUNTS => serde_json::to_value(CarrierAccount::default()).ok(),
        _ => None,
    }
}

/// The members of a section as dotted keys; what is no member keeps its place, to be refused there.
pub(super) fn flatten(section: &str, members: Map<String, Value>) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    for (name, body) in members {
        match body {
            Value::Object(keys) => settings.extend(
                keys.into_iter()
                    .map(|(key, value)| (format!("{section}.{name}.{key}"), value)),
            ),
            value => settings.push((format!("{section}.{name}"), value)),
        }
    }
    settings
}

/// The variables that vendors' own tools read their key from, and the keys they stand for.
pub(super) fn key_variables() -> impl Iterator<Item = (&'static str, String)> {
    WELL_KNOWN.iter().filter_map(|vendor| {
        let key = format!("providers.{}.api_key", vendor.name);
        vendor.key_variable.map(|variable| (variable, key))
    })
}

/// The kind of the provider with this name.
pub(super) fn kind(config: &Config, name: &str) -> Option<ProviderKind> {
    let named = config.providers.get(name).and_then(|own| own.kind.as_ref());
    match named {
        Some(kind) => kind_named(kind),
        None => well_known(name).map(|vendor| vendor.kind),
    }
}

fn kind_named(name: &str) -> Option<ProviderKind> {
    let kinds = ProviderKind::ALL.iter();
    kinds
        .clone()
        .find(|(kind, _)| *kind == name)
        .map(|(_, kind)| *kind)
}

/// The first member with a value that is not accepted.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    for (name, provider) in &config.providers {
        check_provider(name, provider)?;
    }
    for (name, pipeline) in &config.pipelines {
        let stages = [
            ("stt", &pipeline.stt),
            ("llm", &pipeline.llm),
            ("tts", &pipeline.tts),
            ("duplex", &pipeline.duplex),
        ];
        // either a speech-to-speech model, or all of the others
        let needed = |stage| (stage == "duplex") != pipeline.duplex.is_empty();
        for (stage, entries) in stages {
            if entries.is_empty() && !needed(stage) {
                continue;
            }
            check_entries(config, &format!("pipelines.{name}.{stage}"), entries)?;
        }
    }
    check_workers(config)?;
    let default = config.pipeline.name.as_str();
    if BUILT_IN.contains(&default) || config.pipelines.contains_key(default) {
        return Ok(());
    }
    let known = config.pipelines.keys().map(String::as_str);
    let known: Vec<&str> = BUILT_IN.into_iter().chain(known).collect();
    Err(problem("pipeline.name", default, known.join(" or ")))
}

/// Whether workers that are to be asked can be reached.
fn check_workers(config: &Config) -> Result<(), Problem> {
    if config.redis.url.is_some() {
        return Ok(());
    }
    let expected = "the address of the Redis that the workers use as well, for a pipeline asks workers; or set REDIS_URL";
    if asks_workers(config) {
        return Err(problem("redis.url", "not set", expected));
    }
    Ok(())
}

/// Whether any pipeline asks workers.
pub(super) fn asks_workers(config: &Config) -> bool {
    let asks = |pipeline: &NamedPipeline| {
        let mut entries = [&pipeline.stt, &pipeline.llm, &pipeline.tts]
            .into_iter()
            .flatten();
        entries.any(|entry| is_workers(config, entry))
    };
    config.pipeline.name == Workers::NAME || config.pipelines.values().any(asks)
}

/// Whether an entry of a pipeline means workers.
pub(super) fn is_workers(config: &Config, entry: &str) -> bool {
    let name = entry.split_once('/').map_or(entry, |(name, _)| name);
    kind(config, name) == Some(ProviderKind::Workers)
}

fn check_provider(name: &str, provider: &Provider) -> Result<(), Problem> {
    let key = |key: &str| format!("providers.{name}.{key}");
    match &provider.kind {
        Some(kind) if kind_named(kind).is_none() => {
            return Err(problem(key("kind"), kind, kinds()));
        }
        None if well_known(name).is_none() => {
            let expected = format!("one of {}, for the name is not well known", kinds());
            return Err(problem(key("kind"), "not set", expected));
        }
        _ => {}
    }
    let parsed = provider.base_url.as_ref().map(|base| (base, base.parse()));
    match parsed {
        Some((_, Ok(url))) if is_http(&url) => Ok(()),
        Some((base, _)) => {
            let expected = "an http or https address such as http://127.0.0.1:8000/v1";
            Err(problem(key("base_url"), base, expected))
        }
        None if well_known(name).is_none() => {
            let expected = "the address of the vendor, up to and including the version";
            Err(problem(key("base_url"), "not set", expected))
        }
        None => Ok(()),
    }
}

fn is_http(url: &url::Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn check_entries(config: &Config, key: &str, entries: &[String]) -> Result<(), Problem> {
    let known = || {
        let own = config.providers.keys().map(String::as_str);
        let mut names: Vec<&str> = WELL_KNOWN
            .iter()
            .map(|known| known.name)
            .chain(own)
            .collect();
        names.sort_unstable();
        names.dedup();
        format!("a list of providers: {}", names.join(", "))
    };
    if entries.is_empty() {
        return Err(problem(key.to_owned(), "empty", known()));
    }
    for entry in entries {
        let name = entry
            .split_once('/')
            .map_or(entry.as_str(), |(name, _)| name);
        if kind(config, name).is_none() {
            return Err(problem(key.to_owned(), entry, known()));
        }
    }
    Ok(())
}

fn kinds() -> String {
    let names: Vec<&str> = ProviderKind::ALL.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn problem(
    key: impl Into<std::borrow::Cow<'static, str>>,
    value: &str,
    expected: impl Into<std::borrow::Cow<'static, str>>,
) -> Problem {
    Problem {
        key: key.into(),
        value: value.to_owned(),
        expected: expected.into(),
    }
}
