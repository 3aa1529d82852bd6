use store::live::WorkKind;

use super::{Config, ConfigError, NamedPipeline, Secret};

fn load(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let pairs = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(None, pairs)
}

fn load_file(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("antiphon.toml");
    std::fs::write(&path, text).unwrap();
    let pairs = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(Some(&path), pairs)
}

#[test]
fn defaults_listen_on_loopback_and_keep_data_in_the_home_folder() {
    let config = load(&[("HOME", "/home/ada")]).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:8080");
    assert_eq!(
        config.data_dir().to_str(),
        Some("/home/ada/.local/share/antiphon")
    );
    assert_eq!(
        config.models_dir().to_str(),
        Some("/home/ada/.local/share/antiphon/models")
    );
    assert_eq!(
        config.database().url,
        "sqlite:/home/ada/.local/share/antiphon/antiphon.db"
    );
    assert_eq!(config.pipeline.name, "local");
}

#[test]
fn later_layers_win() {
    let file =
        "[server]\nlisten = \"127.0.0.1:1\"\n[sessions]\nmax_items = 7\nmax_duration_s = 60\n";
    let config = load_file(
        file,
        &[
            ("ANTIPHON_SESSIONS__MAX_ITEMS", "8"),
            ("ANTIPHON_LISTEN", "127.0.0.1:2"),
            ("PORT", "3"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:2");
    assert_eq!(config.sessions.max_items, 8);
    assert_eq!(config.sessions.max_duration_s, 60);
}

#[test]
fn port_alone_opens_every_interface() {
    assert_eq!(
        load(&[("PORT", "9000")]).unwrap().server.listen,
        "0.0.0.0:9000"
    );
}

#[test]
fn lists_come_from_the_environment_separated_by_commas() {
    let config = load(&[(
        "ANTIPHON_HTTP__ALLOWED_ORIGINS",
        "https://a.example, https://b.example",
    )]);
    assert_eq!(
        config.unwrap().http.allowed_origins,
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn a_wrong_value_is_one_sentence_with_key_value_and_expectation() {
    let error = |environment: &[(&str, &str)]| load(environment).unwrap_err().to_string();
    assert_eq!(
        error(&[("ANTIPHON_SESSIONS__MAX_ITEMS", "many")]),
        "sessions.max_items is \"many\" (from ANTIPHON_SESSIONS__MAX_ITEMS), expected a whole number"
    );
    assert_eq!(
        error(&[("ANTIPHON_LOG__FORMAT", "xml")]),
        "log.format is \"xml\" (from ANTIPHON_LOG__FORMAT), expected `pretty` or `json`"
    );
    assert_eq!(
        error(&[("ANTIPHON_SERVER__DRAIN_S", "4000")]),
        "server.drain_s is 4000 (from ANTIPHON_SERVER__DRAIN_S), expected 0 to 3600"
    );
    assert_eq!(
        error(&[("ANTIPHON_PIPELINE", "magic")]),
        "pipeline.name is magic (from ANTIPHON_PIPELINE), expected local or scripted or workers"
    );
    assert!(
        error(&[("ANTIPHON_LISTEN", "here")])
            .starts_with("server.listen is here (from ANTIPHON_LISTEN)")
    );
    assert!(error(&[("LOG_LEVEL", "loud==")]).starts_with("log.level is loud== (from LOG_LEVEL)"));
}

#[test]
fn unknown_keys_are_reported_with_what_exists() {
    let error = load(&[("ANTIPHON_LOG__COLOUR", "red")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "unknown key log.colour (from ANTIPHON_LOG__COLOUR), expected one of format, level"
    );
    let error = load_file("[serverr]\nlisten = \"\"\n", &[]).unwrap_err();
    assert!(
        matches!(error, ConfigError::Unknown { ref key, .. } if key == "serverr.listen"),
        "{error}"
    );
    let error = load_file("listen = \"127.0.0.1:1\"\n", &[]).unwrap_err();
    assert!(
        matches!(error, ConfigError::Unknown { ref key, .. } if key == "listen"),
        "{error}"
    );
}

#[test]
fn a_broken_or_missing_file_names_the_path() {
    let error = load_file("[server\n", &[]).unwrap_err().to_string();
    assert!(
        error.contains("antiphon.toml") && error.ends_with("expected a TOML file"),
        "{error}"
    );
    let error = Config::load(Some(std::path::Path::new("/no/such.toml")), []).unwrap_err();
    assert!(error.to_string().contains("/no/such.toml"));
}

#[test]
fn a_short_bootstrap_key_is_refused_and_never_shown() {
    let error = load(&[("ANTIPHON_BOOTSTRAP_API_KEY", "hunter2")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("at least 16 characters"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_database_is_sqlite_or_postgres_and_may_have_an_owner() {
    let url = "postgres://antiphon:secret@db/x?sslmode=verify-full";
    let owner = "postgresql://owner:secret@db/x";
    let config = load(&[
        ("DATABASE_URL", url),
        ("DATABASE_OWNER_URL", owner),
        ("ANTIPHON_DATABASE__MAX_CONNECTIONS", "3"),
        ("ANTIPHON_DATABASE__STATEMENT_TIMEOUT_MS", "1500"),
    ])
    .unwrap();
    let database = config.database();
    assert_eq!(
        (database.url.as_str(), database.owner_url.as_deref()),
        (url, Some(owner))
    );
    assert_eq!(database.max_connections, 3);
    assert_eq!(
        (
            database.acquire_within.as_millis(),
            database.statement_within.as_millis()
        ),
        (5000, 1500)
    );
    for (variables, expected) in [
        (
            vec![("DATABASE_URL", "mysql://user:secret@db/x")],
            "sqlite:PATH or postgres://",
        ),
        (
            vec![("DATABASE_URL", "postgres://user:1/secret@db/x")],
            "%2F",
        ),
        (
            vec![("DATABASE_URL", "postgres://db/x?sslmode=secret")],
            "verify-full",
        ),
        (
            vec![("DATABASE_OWNER_URL", "postgres://user:secret@db/x")],
            "database.owner_url",
        ),
        (
            vec![
                ("DATABASE_URL", url),
                ("DATABASE_OWNER_URL", "sqlite:secret"),
            ],
            "database.owner_url",
        ),
        (
            vec![("ANTIPHON_DATABASE__MAX_CONNECTIONS", "0")],
            "1 to 10000",
        ),
    ] {
        let error = load(&variables).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn redis_is_reached_in_three_ways_and_no_other() {
    for url in [
        "memcached://:secret@cache",
        "redis+sentinel://:secret@cache",
    ] {
        let error = load(&[("REDIS_URL", url)]).unwrap_err().to_string();
        assert!(
            error.contains("redis.url") && error.contains("redis+sentinel://"),
            "{error}"
        );
        assert!(!error.contains("secret@"), "{error}");
    }
    let config = load(&[("REDIS_URL", "redis+sentinel://:secret@cache/mymaster")]).unwrap();
    assert!(!format!("{}{config:?}", config.printed()).contains("secret@"));
}

#[test]
fn secrets_are_hidden_in_print_and_debug() {
    let config = load(&[
        ("ANTIPHON_BOOTSTRAP_API_KEY", "a-very-long-secret"),
        ("OPENAI_API_KEY", "sk-other-secret"),
    ])
    .unwrap();
    let shown = format!("{}{config:?}", config.printed());
    assert!(shown.contains(Secret::HIDDEN));
    assert!(!shown.contains("a-very-long-secret") && !shown.contains("sk-other-secret"));
}

#[test]
fn what_is_printed_and_the_default_file_load_again() {
    let config = load(&[
        ("HOME", "/h"),
        ("ANTIPHON_HTTP__ALLOWED_ORIGINS", "https://a.example"),
    ])
    .unwrap();
    assert_eq!(
        load_file(&config.printed(), &[("HOME", "/h")]).unwrap(),
        config
    );
    let uncommented: String = Config::default_toml()
        .lines()
        .filter_map(|line| match line.strip_prefix("# ") {
            // the keys of an example are indented
            Some(key) if key.starts_with(' ') => None,
            Some(key) if key.contains(" = ") && !key.ends_with("\"\"") => Some(format!("{key}\n")),
            Some(_) => None,
            None => Some(format!("{line}\n")),
        })
        .collect();
    assert_eq!(
        load_file(&uncommented, &[("HOME", "/h")]).unwrap(),
        load(&[("HOME", "/h")]).unwrap()
    );
}

#[test]
fn every_key_is_explained() {
    let text = Config::default_toml();
    assert!(
        !text.contains("# \n"),
        "a key or section without a doc line:\n{text}"
    );
    let schema = Config::schema_json();
    assert!(
        schema["$defs"]["Sessions"]["properties"]["max_items"].is_object(),
        "{schema:#}"
    );
}

const FLEET: &str = r#"
[pipeline]
name = "main"
[providers.groq]
api_key = "gsk-in-the-file"
model = "llama-3.3-70b-versatile"
[providers.my-vllm]
kind = "openai"
base_url = "http://10.0.0.7:8000/v1"
[pipelines.main]
stt = ["local"]
llm = ["groq", "my-vllm/qwen", "local"]
tts = ["local"]
"#;

#[test]
fn vendors_and_pipelines_have_names_of_the_operators_choice() {
    let config = load_file(
        FLEET,
        &[
            ("ANTIPHON_PROVIDERS__GROQ__VOICE", "nobody"),
            ("ANTHROPIC_API_KEY", ""),
            ("OPENROUTER_API_KEY", "sk-or"),
        ],
    )
    .unwrap();
    let groq = &config.providers["groq"];
    assert_eq!(groq.model.as_deref(), Some("llama-3.3-70b-versatile"));
    assert_eq!(groq.voice.as_deref(), Some("nobody"));
    assert_eq!(groq.api_key, Some(Secret::new("gsk-in-the-file")));
    assert_eq!(
        config.providers["openrouter"].api_key,
        Some(Secret::new("sk-or"))
    );
    assert_eq!(
        config.pipelines["main"].llm,
        ["groq", "my-vllm/qwen", "local"]
    );
    let printed = config.printed();
    assert!(printed.contains("[providers.my-vllm]"), "{printed}");
    assert!(!printed.contains("gsk-in") && printed.contains("(hidden)"));
    let catalog = config.catalog().unwrap();
    assert_eq!(catalog.default, "main");
    assert_eq!(catalog.pipelines["main"].stt, ["local"]);
    let shown = format!("{catalog:?}");
    assert!(!shown.contains("gsk-in"), "{shown}");
}

#[test]
fn a_vendor_or_a_pipeline_that_cannot_be_is_one_sentence() {
    let error = |text: &str| load_file(text, &[]).unwrap_err().to_string();
    let refused = error("[pipelines.a]\nstt = [\"local\"]\nllm = [\"grok\"]\ntts = [\"local\"]\n");
    assert!(refused.starts_with("pipelines.a.llm is grok"), "{refused}");
    assert!(refused.contains("a list of providers: ") && refused.contains("groq"));
    assert!(error("[pipelines.a]\nstt = [\"local\"]\n").starts_with("pipelines.a.llm is empty"));
    assert!(
        error("[providers.x]\nbase_url = \"http://a\"\n").contains("providers.x.kind is not set")
    );
    assert!(
        error("[providers.x]\nkind = \"openai\"\n").contains("providers.x.base_url is not set")
    );
    assert!(error("[providers.x]\nkind = \"magic\"\n").contains("providers.x.kind is magic"));
    assert!(
        error("[providers.groq]\nbase_url = \"ftp://a\"\n").contains("an http or https address")
    );
    assert!(
        error("[providers.groq]\ncolour = 1\n").starts_with("unknown key providers.groq.colour")
    );
    assert!(error("[providers]\ngroq = 1\n").starts_with("unknown key providers.groq"));
    assert!(
        load(&[("ANTIPHON_PROVIDERS__GROQ", "x")])
            .unwrap_err()
            .to_string()
            .starts_with("unknown key providers.groq")
    );
    assert!(error("[pipeline]\nname = \"nobody\"\n").contains("local or scripted"));
}

#[test]
fn a_speech_to_speech_model_stands_for_the_other_three() {
    let variables = [("OPENAI_API_KEY", "sk-env"), ("GEMINI_API_KEY", "key-env")];
    let file = "[pipelines.a]\nduplex = \"openai-realtime\"\n\
        [pipelines.b]\nduplex = [\"gemini-live\", \"openai-realtime/gpt-realtime\"]\ntts = [\"local\"]\n";
    let config = load_file(file, &variables).unwrap();
    assert_eq!(config.pipelines["a"].duplex, ["openai-realtime"]);
    assert_eq!(config.pipelines["b"].duplex.len(), 2);
    let catalog = config.catalog().unwrap();
    assert_eq!(catalog.pipelines["a"].duplex, ["openai-realtime"]);
    let key = &config.providers["gemini-live"].api_key;
    assert_eq!(key, &Some(Secret::new("key-env")));
    let variables = [(
        "ANTIPHON_PIPELINES__A__DUPLEX",
        "gemini-live,openai-realtime",
    )];
    assert_eq!(load(&variables).unwrap().pipelines["a"].duplex.len(), 2);

    let error = |text: &str| load_file(text, &[]).unwrap_err().to_string();
    let refused = error("[pipelines.a]\nduplex = \"nobody\"\n");
    assert!(
        refused.starts_with("pipelines.a.duplex is nobody"),
        "{refused}"
    );
    assert!(refused.contains("openai-realtime"), "{refused}");
    assert!(error("[pipelines.a]\nduplex = []\n").starts_with("pipelines.a.stt is empty"));
    error("[pipelines.a]\nduplex = 7\n");
}

#[test]
fn sections_with_members_are_documented_by_an_example() {
    let text = Config::default_toml();
    assert!(text.contains("# [pipelines.NAME]"), "{text}");
    assert!(
        text.contains("#   Language models.\n#   llm = []"),
        "{text}"
    );
}

#[test]
fn workers_are_asked_where_there_is_a_way_to_them() {
    let alone = load(&[("ANTIPHON_PIPELINE", "workers")]).unwrap_err();
    let sentence = alone.to_string();
    assert!(
        sentence.contains("redis.url") && sentence.contains("REDIS_URL"),
        "{sentence}"
    );
    let shared = [
        ("ANTIPHON_PIPELINE", "workers"),
        ("REDIS_URL", "redis://cache.example:6379"),
    ];
    let config = load(&shared).unwrap();
    assert!(config.asks_workers());
    // the same settings make a worker: it asks nobody but itself
    let catalog = config.worker_catalog(&[WorkKind::Stt]).unwrap();
    assert_eq!(catalog.default, "local");
    let own = &catalog.pipelines["local"];
    assert_eq!(
        (&own.stt[..], &own.tts[..]),
        (&["local".to_owned()][..], &["scripted".to_owned()][..])
    );
}

#[test]
fn a_worker_of_a_shared_pipeline_does_what_workers_are_not_asked_for() {
    let mut config = Config::default();
    config.pipeline.name = "prod".to_owned();
    let row = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let prod = NamedPipeline {
        stt: row(&["workers", "deepgram"]),
        llm: row(&["groq"]),
        tts: row(&["workers"]),
        ..NamedPipeline::default()
    };
    config.pipelines.insert("prod".to_owned(), prod);
    let catalog = config.worker_catalog(&[WorkKind::Stt]).unwrap();
    assert_eq!(catalog.pipelines["prod"].stt, ["deepgram"]);
    let error = config.worker_catalog(&[WorkKind::Tts]).unwrap_err();
    assert!(error.to_string().contains("pipelines.prod.tts"), "{error}");
    config.worker.pipeline = Some("local".to_owned());
    let catalog = config.worker_catalog(&[WorkKind::Tts]).unwrap();
    assert_eq!(catalog.pipelines["local"].tts, ["local"]);
}

#[test]
fn the_files_that_the_readme_shows_are_accepted() {
    let readme = include_str!("../../../../README.md");
    let files: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(file, _)| file))
        .collect();
    assert_eq!(files.len(), 4);
    for file in files {
        let config = load_file(file, &[("OPENAI_API_KEY", "sk-x")]).unwrap();
        config.catalog().unwrap();
    }
}

#[test]
fn further_addresses_come_from_the_file_or_from_one_variable() {
    let entry = |address: &str| super::Listener {
        profile: super::Profile::All,
        address: address.to_owned(),
    };
    let file = "[[listeners]]\nprofile = \"all\"\naddress = \"127.0.0.1:1\"\n";
    let config = load_file(file, &[]).unwrap();
    assert_eq!(config.listeners, [entry("127.0.0.1:1")]);
    let text = "all=127.0.0.1:2, all=[::1]:3,";
    let config = load_file(file, &[("ANTIPHON_LISTENERS", text)]).unwrap();
    assert_eq!(config.listeners, [entry("127.0.0.1:2"), entry("[::1]:3")]);
    let printed = config.printed();
    assert!(
        printed.contains("[[listeners]]\naddress = \"127.0.0.1:2\""),
        "{printed}"
    );
    for (text, part) in [
        ("all", "expected an address and a port"),
        ("all=localhost", "expected an address and a port"),
        ("everything=127.0.0.1:1", "all"),
    ] {
        let error = load(&[("ANTIPHON_LISTENERS", text)])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("listeners is") && error.contains(part),
            "{error}"
        );
    }
}

#[test]
fn with_redis_a_change_ends_before_its_announcement() {
    let slow = ("ANTIPHON_DATABASE__STATEMENT_TIMEOUT_MS", "25000");
    assert!(load(&[slow]).is_ok());
    let error = load(&[slow, ("REDIS_URL", "redis://127.0.0.1")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected at most 27000 together"),
        "{error}"
    );
    let fast = ("ANTIPHON_DATABASE__ACQUIRE_TIMEOUT_MS", "2000");
    assert!(load(&[slow, fast, ("REDIS_URL", "redis://127.0.0.1")]).is_ok());
}
