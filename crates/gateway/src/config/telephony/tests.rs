use super::*;
use crate::config::ConfigError;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("antiphon.toml");
    std::fs::write(&path, file).unwrap();
    let pairs = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&path), pairs)
}

fn refused(file: &str, environment: &[(&str, &str)]) -> String {
    let sentence = load(file, environment).unwrap_err().to_string();
    assert!(!sentence.contains("hunter2"), "{sentence}");
    sentence
}

const TWO: &str = r#"
[telephony]
external_url = "https://voice.example"
max_call_s = 120

[telephony.accounts.twilio]
account_id = "AC1"
auth_token = "hunter2"
number = "+14155550100"

[telephony.accounts.second]
carrier = "telnyx"
auth_token = "KEY"
signing_key = "e5Vz"
calls_per_second = 5

[[telephony.numbers]]
number = "+14155550100"
agent = "receptionist"
account = "twilio"

[[telephony.numbers]]
number = "+493012345678"
pipeline = "local"
tenant = "acme"
"#;

#[test]
fn accounts_and_numbers_are_tables_of_their_own() {
    let config = load(
        TWO,
        &[
            ("HOME", "/h"),
            (
                "ANTIPHON_TELEPHONY__ACCOUNTS__SECOND__STREAM_TOKEN",
                "hunter2",
            ),
            ("ANTIPHON_TELEPHONY__INACTIVITY_S", "20"),
        ],
    )
    .unwrap();
    let telephony = &config.telephony;
    assert!(telephony.enabled());
    let twilio: Vec<_> = telephony.accounts_with(Dialect::Twilio).collect();
    assert_eq!(twilio.len(), 1);
    assert_eq!(twilio[0].1.auth_token, Some(Secret::new("hunter2")));
    let second = &telephony.accounts["second"];
    assert_eq!(second.dialect("second"), Some(Dialect::Telnyx));
    assert_eq!(second.calls_per_second, 5);
    assert_eq!(second.stream_token, Some(Secret::new("hunter2")));
    let number = telephony.number("+14155550100").unwrap();
    assert_eq!(number.agent.as_deref(), Some("receptionist"));
    assert!(telephony.number("+14155550199").is_none());
    assert_eq!(telephony.limits(None).hangup_ms, 120_000);
    assert_eq!(telephony.limits(Some(60)).warn_ms, 30_000);
    assert_eq!(telephony.limits(None).silence_ms, 20_000);

    let printed = config.printed();
    assert!(!format!("{printed}{config:?}").contains("hunter2"));
    assert!(printed.contains("[telephony.accounts.second]"), "{printed}");
    let mut again = load(&printed, &[("HOME", "/h")]).unwrap();
    // what is hidden is not printed
    again.telephony.accounts.clone_from(&telephony.accounts);
    assert_eq!(again, config);
}

#[test]
fn leadflips_names_are_understood() {
    let config = load(
        "",
        &[
            ("WEBSOCKET_PORT", "8081"),
            ("WEBSOCKET_SERVER_URL", "wss://bridge.example/"),
            ("NEXT_PUBLIC_APP_URL", "https://app.example"),
            ("TWILIO_ACCOUNT_SID", "AC1"),
            ("TWILIO_AUTH_TOKEN", "hunter2"),
            ("TWILIO_PHONE_NUMBER", "+14155550100"),
            ("SIGNALWIRE_PROJECT_ID", "p-1"),
            ("SIGNALWIRE_API_TOKEN", "hunter2"),
            ("SIGNALWIRE_SPACE_URL", "acme.signalwire.com"),
            ("SIGNALWIRE_PHONE_NUMBER", "+14155550101"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, "0.0.0.0:8081");
    let telephony = &config.telephony;
    let (stream, external) = (&telephony.stream_url, &telephony.external_url);
    assert_eq!(stream.as_deref(), Some("wss://bridge.example/"));
    assert_eq!(external.as_deref(), Some("https://app.example"));
    let twilio = &telephony.accounts["twilio"];
    assert_eq!(twilio.number.as_deref(), Some("+14155550100"));
    assert_eq!(twilio.dialect("twilio"), Some(Dialect::Twilio));
    let signalwire = &telephony.accounts["signalwire"];
    assert_eq!(signalwire.space_url.as_deref(), Some("acme.signalwire.com"));
    let listen = load("", &[("WEBSOCKET_PORT", "8081"), ("PORT", "9")]).unwrap();
    assert_eq!(listen.server.listen, "0.0.0.0:9");
}

#[test]
fn carriers_are_believed_without_a_signature_on_loopback_only() {
    let unsigned = ("ANTIPHON_TELEPHONY__ALLOW_UNSIGNED", "true");
    assert!(load("", &[unsigned]).unwrap().telephony.allow_unsigned);
    for listen in [("PORT", "8080"), ("ANTIPHON_LISTEN", "192.0.2.7:80")] {
        let sentence = refused("", &[unsigned, listen]);
        assert!(
            sentence.starts_with("telephony.allow_unsigned is true (from ANTIPHON_TELEPHONY"),
            "{sentence}"
        );
        assert!(sentence.contains("loopback"), "{sentence}");
    }
}

#[test]
fn what_cannot_be_is_one_sentence() {
    let account = |keys: &str| format!("[telephony.accounts.a]\n{keys}");
    for (file, expected) in [
        (
            account("calls_per_second = 1"),
            "telephony.accounts.a.carrier is not set",
        ),
        (account("carrier = \"bell\""), "twilio, signalwire, telnyx"),
        (account("carrier = \"relay\""), "telephony.accounts.a.carrier is relay"),
        (account("carrier = \"twilio\""), "telephony.accounts.a.account_id is not set"),
        (
            account("carrier = \"twilio\"\naccount_id = \"AC1\""),
            "telephony.accounts.a.auth_token is not set",
        ),
        (
            account("carrier = \"signalwire\"\naccount_id = \"p\"\nauth_token = \"hunter2\""),
            "telephony.accounts.a.space_url is not set",
        ),
        (account("carrier = \"vonage\""), "telephony.accounts.a.signing_key is not set"),
        (account("carrier = \"genesys\""), "telephony.accounts.a.api_key_id is not set"),
        (
            account("carrier = \"exotel\"\nstream_token = \"hunter2\""),
            "telephony.accounts.a.stream_token is not set",
        ),
        (
            account("carrier = \"exotel\"\nstream_token = \"a:hunter2\"\ncalls_per_second = 0"),
            "telephony.accounts.a.calls_per_second is 0",
        ),
        (
            account("carrier = \"exotel\"\nstream_token = \"a:hunter2\"\nnumber = \"911\""),
            "telephony.accounts.a.number is (hidden)",
        ),
        (account("colour = 1"), "unknown key telephony.accounts.a.colour"),
        ("[telephony]\naccounts = 1".to_owned(), "telephony.accounts is 1"),
        ("[telephony]\ncolour = 1".to_owned(), "unknown key telephony.colour"),
        ("[telephony]\nmax_call_s = 10".to_owned(), "expected 30 to 3600"),
        (
            "[telephony]\nexternal_url = \"voice.example\"".to_owned(),
            "telephony.external_url is voice.example",
        ),
        (
            "[telephony]\nexternal_url = \"https://a:hunter2@voice.example\"".to_owned(),
            "telephony.external_url is (hidden)",
        ),
        (
            "[telephony]\nstream_url = \"wss://voice.example/?a=1\"".to_owned(),
            "without query",
        ),
        (
            "[[telephony.numbers]]\nnumber = \"4155550100\"".to_owned(),
            "telephony.numbers is 4155550100",
        ),
        (
            "[[telephony.numbers]]\nnumber = \"+1 415 555 0100\"".to_owned(),
            "without spaces: +14155550100",
        ),
        (
            "[[telephony.numbers]]\nnumber = \"+14155550100\"\naccount = \"b\"".to_owned(),
            "telephony.numbers is b",
        ),
        (
            "[[telephony.numbers]]\nnumber = \"+14155550100\"\n[[telephony.numbers]]\nnumber = \"+14155550100\""
                .to_owned(),
            "each number once",
        ),
        (
            "[[telephony.numbers]]\nnumber = \"+14155550100\"\nagent = \"a\"\npipeline = \"local\"".to_owned(),
            "agent or pipeline",
        ),
    ] {
        let sentence = refused(&file, &[]);
        assert!(sentence.contains(expected), "{sentence}\nnot: {expected}");
    }
}

#[test]
fn no_call_lasts_longer_than_the_operator_says() {
    let telephony = Telephony::default();
    for (wanted, lasts) in [
        (None, 300),
        (Some(0), 300),
        (Some(60), 60),
        (Some(3600), 300),
    ] {
        assert_eq!(telephony.lasting_s(wanted), lasts, "{wanted:?}");
    }
}
