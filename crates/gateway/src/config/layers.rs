//! Puts the layers of the configuration on top of each other and checks every value.
//! Called by `Config::load` only.
//! Never shows a secret in a message and never reads the process environment itself.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Config, Secret, check::check, leadflip, listeners, named, recordings, telephony};

/// The short names of DESIGN §2 and the key each stands for; they win over everything else.
const SHORT_NAMES: [(&str, &str); 29] = [
    ("ANTIPHON_LISTEN", "server.listen"),
    ("ANTIPHON_DATA_DIR", "server.data_dir"),
    ("ANTIPHON_MODELS_DIR", "models.dir"),
    ("ANTIPHON_PIPELINE", "pipeline.name"),
    ("ANTIPHON_BOOTSTRAP_API_KEY", "auth.bootstrap_api_key"),
    ("DATABASE_URL", "database.url"),
    ("DATABASE_OWNER_URL", "database.owner_url"),
    ("REDIS_URL", "redis.url"),
    ("LOG_LEVEL", "log.level"),
    ("OPENAI_API_KEY", "llm.api_key"),
    ("SUPABASE_URL", "voice.supabase_url"),
    ("SUPABASE_ANON_KEY", "voice.supabase_anon_key"),
    (
        "SUPABASE_SERVICE_ROLE_KEY",
        "voice.supabase_service_role_key",
    ),
    ("SUPABASE_JWT_SECRET", "voice.token_secret"),
    ("VOICE_CALLS_SOFT_LAUNCH", "voice.admits"),
    ("SMTP_HOST", "mail.host"),
    ("SMTP_PORT", "mail.port"),
    ("SMTP_USERNAME", "mail.username"),
    ("SMTP_PASSWORD", "mail.password"),
    ("SMTP_SENDER_EMAIL", "mail.sender"),
    ("SMTP_USE_TLS", "mail.use_tls"),
    ("SERVER_EXTERNAL_URL", "survey.external_url"),
    ("VERIFICATION_CODE_LENGTH", "survey.code_digits"),
    (
        "VERIFICATION_CODE_EXPIRY_SECONDS",
        "survey.dialogue_code_ttl_s",
    ),
    ("PRE_AUTH_CODE_EXPIRY_SECONDS", "survey.code_ttl_s"),
    ("REDIS_SESSION_TTL_SECONDS", "survey.session_ttl_s"),
    ("JWT_SECRET", "chat.jwt_secret"),
    ("NEXT_API_URL", "chat.backend_url"),
    ("INTERNAL_API_SECRET", "chat.backend_secret"),
];

/// What alone means `0.0.0.0:PORT`: the first counts. The second is LeadFlip's.
const PORTS: [&str; 2] = ["PORT", "WEBSOCKET_PORT"];

/// What is wrong with the configuration, as one sentence; the process exits with 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value outside what the key accepts.
    #[error("{key} is {value} (from {source_name}), expected {expected}")]
    Invalid {
        /// `section.key`.
        key: String,
        /// As given; secrets are hidden.
        value: String,
        /// Where it came from: a variable's name, a file's, or `defaults`.
        source_name: String,
        /// What would be accepted.
        expected: String,
    },
    /// A key nobody reads.
    #[error("unknown key {key} (from {source_name}), expected one of {known}")]
    Unknown {
        /// `section.key`, or the section.
        key: String,
        /// Where it came from.
        source_name: String,
        /// What exists at this place.
        known: String,
    },
    /// The file cannot be read or is not TOML.
    #[error("cannot read configuration file {path}: {reason}, expected a TOML file")]
    File {
        /// Its path.
        path: String,
        /// What the system or the parser said.
        reason: String,
    },
}

/// One value on its way into the configuration.
struct Setting {
    key: String,
    value: Value,
    source: String,
}

pub(super) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let mut settings = Vec::new();
    if let Some(path) = file {
        settings.extend(from_file(path)?);
    }
    settings.extend(from_sections(&environment)?);
    settings.extend(from_short_names(&environment));

    let mut tree = defaults();
    for setting in &settings {
        apply(&mut tree, setting)?;
    }
    let mut config: Config = serde_json::from_value(tree).map_err(|error| ConfigError::File {
        path: "(all layers)".to_owned(),
        reason: error.to_string(),
    })?;
    if config.server.data_dir.as_ref().is_none_or(String::is_empty) {
        config.server.data_dir = Some(home_data_dir(&environment));
    }
    let origin = |key: &str| {
        settings
            .iter()
            .rev()
            .find(|setting| setting.key == key)
            .map_or_else(|| "defaults".to_owned(), |setting| setting.source.clone())
    };
    check(&config).map_err(|problem| ConfigError::Invalid {
        source_name: origin(&problem.key),
        key: problem.key.into_owned(),
        value: problem.value,
        expected: problem.expected.into_owned(),
    })?;
    Ok(config)
}

/// The defaults as a tree: every key is present, optional ones are null.
pub(super) fn defaults() -> Value {
    serde_json::to_value(Config::default()).unwrap_or_default()
}

fn home_data_dir(environment: &[(String, String)]) -> String {
    let get = |name: &str| {
        environment
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    };
    match (get("XDG_DATA_HOME"), get("HOME")) {
        (Some(data), _) => format!("{data}/antiphon"),
        (None, Some(home)) => format!("{home}/.local/share/antiphon"),
        (None, None) => "antiphon-data".to_owned(),
    }
}

fn from_file(path: &Path) -> Result<Vec<Setting>, ConfigError> {
    let source = path.display().to_string();
    let unreadable = |reason: String| ConfigError::File {
        path: source.clone(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let table: Map<String, Value> =
        toml::from_str(&text).map_err(|error| unreadable(error.message().replace('\n', " ")))?;
    let mut settings = Vec::new();
    for (section, body) in table {
        match body {
            Value::Object(members) if named::is_named(&section) => {
                for (key, value) in named::flatten(&section, members) {
                    settings.push(Setting {
                        key,
                        value,
                        source: source.clone(),
                    });
                }
            }
            Value::Object(keys) => {
                for (key, value) in within_section(&section, keys) {
                    settings.push(Setting {
                        key,
                        value,
                        source: source.clone(),
                    });
                }
            }
            value => settings.push(Setting {
                key: section,
                value,
                source: source.clone(),
            }),
        }
    }
    Ok(settings)
}

/// The keys of a section, and of the sections with members inside it, as dotted keys.
fn within_section(section: &str, keys: Map<String, Value>) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    for (key, value) in keys {
        let key = format!("{section}.{key}");
        match value {
            Value::Object(members) if named::is_named(&key) => {
                settings.extend(named::flatten(&key, members));
            }
            value => settings.push((key, value)),
        }
    }
    settings
}

/// `ANTIPHON_SECTION__KEY`, and `ANTIPHON_SECTION__NAME__KEY` where a section has members. Names without the double underscore belong to [`SHORT_NAMES`] or to scripts.
fn from_sections(environment: &[(String, String)]) -> Result<Vec<Setting>, ConfigError> {
    let defaults = defaults();
    let mut settings = Vec::new();
    for (name, text) in environment {
        let Some((section, key)) = name
            .strip_prefix("ANTIPHON_")
            .and_then(|rest| rest.split_once("__"))
        else {
            continue;
        };
        let whole = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        let mut key = whole.replacen("__", ".", 1);
        if named::is_named(named::split(&key).0) && key.contains("__") {
            key = key.replacen("__", ".", 1);
        }
        let default = lookup(&defaults, &key, name)?;
        settings.push(Setting {
            value: typed(text, &default),
            key,
            source: name.clone(),
        });
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(settings)
}

fn from_short_names(environment: &[(String, String)]) -> Vec<Setting> {
    let get = |name: &str| {
        environment
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, v)| v)
    };
    let mut settings = Vec::new();
    let ports = PORTS.into_iter();
    if let (Some((name, port)), None) = (
        ports
            .map(|name| (name, get(name)))
            .find(|(_, port)| port.is_some()),
        get("ANTIPHON_LISTEN"),
    ) {
        settings.push(Setting {
            key: "server.listen".to_owned(),
            value: Value::String(format!("0.0.0.0:{}", port.map_or("", String::as_str))),
            source: name.to_owned(),
        });
    }
    let defaults = defaults();
    let aliases = telephony::ALIASES.into_iter().chain(leadflip::ALIASES);
    let aliases = aliases.chain(recordings::ALIASES);
    for (name, key) in SHORT_NAMES.into_iter().chain(aliases) {
        if let Some(text) = get(name) {
            let default = lookup(&defaults, key, name).unwrap_or_default();
            settings.push(Setting {
                key: key.to_owned(),
                value: match (key, text.as_str()) {
                    // the original takes both
                    ("voice.admits", "1" | "true") => "soon".into(),
                    ("voice.admits", "0" | "false") => "users".into(),
                    _ => short(text, &default),
                },
                source: name.to_owned(),
            });
        }
    }
    if let Some(text) = get("ANTIPHON_LISTENERS") {
        settings.push(Setting {
            key: "listeners".to_owned(),
            value: listeners::from_text(text),
            source: "ANTIPHON_LISTENERS".to_owned(),
        });
    }
    for (name, key) in named::key_variables() {
        if let Some(text) = get(name) {
            settings.push(Setting {
                key,
                value: Value::String(text.clone()),
                source: name.to_owned(),
            });
        }
    }
    settings
}

/// As [`typed`], with `1` and `0` for yes and no, which the tools that these names come from take as well.
fn short(text: &str, default: &Value) -> Value {
    match (default, text) {
        (Value::Bool(_), "1") => Value::Bool(true),
        (Value::Bool(_), "0") => Value::Bool(false),
        _ => typed(text, default),
    }
}

/// Text from the environment as the kind of value that the default has; lists are separated by commas.
/// Text that does not parse stays text, so that the check reports it as it was written.
fn typed(text: &str, default: &Value) -> Value {
    let kept = || Value::String(text.to_owned());
    match default {
        Value::Number(_) => text.parse::<i64>().map_or_else(
            |_| text.parse::<f64>().map_or_else(|_| kept(), Value::from),
            Value::from,
        ),
        Value::Bool(_) => text.parse::<bool>().map_or_else(|_| kept(), Value::from),
        Value::Array(_) => text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| Value::String(part.to_owned()))
            .collect(),
        _ => kept(),
    }
}

/// The default of a key, which is also its kind.
fn lookup(tree: &Value, key: &str, source: &str) -> Result<Value, ConfigError> {
    let (section, name) = named::split(key);
    let unknown = |known: &Value| ConfigError::Unknown {
        key: key.to_owned(),
        source_name: source.to_owned(),
        known: known
            .as_object()
            .map(|map| {
                map.keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            })
            .unwrap_or_default(),
    };
    let body = tree.pointer(&named::pointer(section));
    let body = body.ok_or_else(|| unknown(tree))?;
    if name.is_empty() && body.is_array() {
        return Ok(body.clone());
    }
    if let Some(member) = named::defaults(section) {
        let key = name.split_once('.').map(|(_, key)| key);
        let found = key.and_then(|key| member.get(key)).cloned();
        return found.ok_or_else(|| unknown(&member));
    }
    body.get(name).cloned().ok_or_else(|| unknown(body))
}

/// Sets one key, trying it alone on top of the defaults first, so that a refusal can name it.
fn apply(tree: &mut Value, setting: &Setting) -> Result<(), ConfigError> {
    lookup(tree, &setting.key, &setting.source)?;
    let mut alone = defaults();
    set(&mut alone, &setting.key, setting.value.clone());
    if let Err(error) = serde_json::from_value::<Config>(alone) {
        let reason = error.to_string();
        let expected = reason
            .rsplit_once("expected ")
            .map_or(reason.as_str(), |(_, e)| plain(e));
        return Err(ConfigError::Invalid {
            key: setting.key.clone(),
            value: if secret(&setting.key) {
                Secret::HIDDEN.to_owned()
            } else {
                setting.value.to_string()
            },
            source_name: setting.source.clone(),
            expected: expected.to_owned(),
        });
    }
    set(tree, &setting.key, setting.value.clone());
    Ok(())
}

/// The deserializer's names of kinds in words for people.
fn plain(kind: &str) -> &str {
    match kind {
        "usize" | "u64" | "u32" => "a whole number",
        "a boolean" => "true or false",
        "a string" => "text",
        "a sequence" => "a list",
        other => other,
    }
}

fn set(tree: &mut Value, key: &str, value: Value) {
    if !key.contains('.') {
        tree[key] = value;
        return;
    }
    let (section, name) = named::split(key);
    let Some(body) = tree.pointer_mut(&named::pointer(section)) else {
        return;
    };
    match (named::defaults(section), name.split_once('.')) {
        (Some(defaults), Some((member, key))) => {
            let member = &mut body[member];
            if member.is_null() {
                *member = defaults;
            }
            member[key] = value;
        }
        _ => body[name] = value,
    }
}

/// Whether a key's value may not be shown.
pub(super) fn secret(key: &str) -> bool {
    let ends = ["_key", "_token", "_secret"];
    ends.iter().any(|end| key.ends_with(end))
        || ["database.url", "redis.url", "mail.password"].contains(&key)
}
