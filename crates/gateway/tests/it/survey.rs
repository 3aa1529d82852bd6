//! The survey by text over real sockets: both dialects byte by byte, the plain routes, what clients send that they should not.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::polled::{Agent, ask, asked, mails_to, mixed, plain, request_code, three};
use crate::smtp::{Protection, Sink};
use crate::world::World;

const SUMMARY: &str = "\n=== Survey Complete ===\n\nSummary of your responses:\n\nQ1: One? (y/n)\n    Your answer: Yes\n\nQ2: Two? (y/n)\n    Your answer: No\n\nQ3: Three? (y/n)\n    Your answer: Yes\n\nThank you for participating!\nYour responses contribute to improving AI-human collaboration.\n\nYou may now close this connection by typing 'quit' or disconnecting.";

async fn get(world: &World, method: Method, path: &str) -> (StatusCode, String) {
    let answer = world.anonymous(method, path).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_current_dialect_is_spoken_to_the_letter() {
    let (world, sink) = asked(&three()).await;
    let (mut agent, welcome) = Agent::connect(&world, "/survey/ws").await;
    assert!(welcome.starts_with("=== Welcome to Agent Polls on Human Questions ===\n\n"));
    assert!(
        welcome.contains("\n\nYour responses are valued and contribute to important research.\n\n")
            && welcome.contains("<server>/request-code")
    );
    assert!(
        welcome
            .ends_with("\n\nOnce you receive the code via email, enter your email address below:")
    );
    let table = [
        (
            "hello",
            "Invalid email format. Please enter a valid email address:",
        ),
        (
            "Agent@Example.com",
            "No verification code found for Agent@Example.com. Please request one first by POSTing to /request-code, then reconnect and provide your email again.",
        ),
    ];
    for (text, reply) in table {
        assert_eq!(agent.say(text).await, reply);
    }
    let (status, sent) = request_code(&world, "Agent@Example.com").await;
    assert_eq!(status, 200);
    assert_eq!(
        sent,
        json!({ "success": true, "message": "Verification code sent to Agent@Example.com. Valid for 10 minutes." })
    );
    let mail = sink.mail(0).await;
    let code = mail.code();
    assert!(mail.is_protected && mail.to == ["Agent@Example.com"]);
    assert_eq!(mail.from, "polls@sender.example");
    let subject = format!("Agent Polls - Verification Code: {code}");
    assert_eq!(mail.header("Subject"), Some(&*subject));
    assert!(
        mail.text.contains("expire in 10 minutes")
            && mail.text.contains("wscat -c ws://127.0.0.1:")
    );
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let table = [
        (
            " agent@example.com\r\n",
            "A verification code was sent to agent@example.com. Please enter the code:",
        ),
        (
            wrong,
            "Incorrect code. 2 attempt(s) remaining. Please try again:",
        ),
        (
            wrong,
            "Incorrect code. 1 attempt(s) remaining. Please try again:",
        ),
        (
            &code,
            "Email verified successfully!\n\nNow, let's begin the survey questions.\n\nQuestion 1 of 3:\nOne? (y/n)",
        ),
        (
            "yes",
            "[ERROR: Invalid response. Please answer with 'y' for yes or 'n' for no.]\n\nOne? (y/n)",
        ),
        ("y", "Response recorded.\n\nQuestion 2 of 3:\nTwo? (y/n)"),
        ("N", "Response recorded.\n\nQuestion 3 of 3:\nThree? (y/n)"),
        ("Y", SUMMARY),
        (
            "and now?",
            "Survey already completed. Type 'quit' to disconnect.",
        ),
        ("quit", "Goodbye! Closing connection..."),
    ];
    for (text, reply) in table {
        assert_eq!(agent.say(text).await, reply, "{text}");
    }
    let closed = agent.closed().await;
    assert_eq!(closed, (1000, "User requested disconnect".to_owned()));
    assert_eq!(sink.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn the_first_dialect_is_spoken_to_the_letter() {
    let sink = Sink::start(Protection::StartTls).await;
    let world = World::start(|config| {
        mails_to(&sink)(config);
        config.survey.dialect = "v1".to_owned();
    })
    .await;
    let (mut agent, closed) = Agent::connect(&world, "/survey").await;
    assert_eq!(
        closed,
        "No active question set available. Please try again later."
    );
    assert_eq!(agent.closed().await, (1000, String::new()));

    ask(&world, "poll", &three()).await;
    let (mut agent, welcome) = Agent::connect(&world, "/survey/anything").await;
    assert!(welcome.starts_with("=== Welcome to Civic Voice AI ===\n"));
    assert!(welcome.ends_with("\nTo begin, please provide your email address for verification:"));
    assert_eq!(
        agent.say("").await,
        "Invalid email format. Please enter a valid email address:"
    );
    assert_eq!(
        agent.say("a@b.co").await,
        "A verification code has been sent to a@b.co. Please enter the code:"
    );
    let mail = sink.mail(0).await;
    assert_eq!(
        mail.header("Subject"),
        Some("Civic Voice AI - Verification Code")
    );
    assert_eq!(
        agent.say(&mail.code()).await,
        "Email verified successfully!\n\nNow, let's begin the civic duty questions.\n\nQuestion 1 of 3:\nOne? (y/n)"
    );
    agent.say("n").await;
    agent.say("n").await;
    let summary = agent.say("y").await;
    assert_eq!(
        summary,
        "\n=== Civic Duty Complete ===\n\nSummary of your responses:\n\nQ1: One? (y/n)\n    Your answer: No\n\nQ2: Two? (y/n)\n    Your answer: No\n\nQ3: Three? (y/n)\n    Your answer: Yes\n\nThank you for participating in AI Civic Duty!\nYour responses contribute to improving AI-human collaboration.\n\n[Connection will now close]"
    );
    let closed = agent.closed().await;
    assert_eq!(closed, (1000, "Civic duty complete".to_owned()));
    let (status, _) = get(&world, Method::GET, "/survey").await;
    assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
    // one dialogue may ask for the other dialect
    let (_, welcome) = Agent::connect(&world, "/survey?dialect=v3c").await;
    assert!(welcome.starts_with("=== Welcome to Agent Polls"));
}

#[tokio::test]
async fn the_plain_routes_answer_as_they_always_did() {
    let world = World::start(|config| {
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        let listener = gateway::config::Listener {
            profile: gateway::config::Profile::Survey,
            address: "127.0.0.1:0".to_owned(),
        };
        config.listeners = vec![listener];
    })
    .await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let health = get(&world, method, "/survey/health").await;
        assert_eq!(health, (StatusCode::OK, "OK".to_owned()));
    }
    for (method, path) in [
        (Method::GET, "/survey/request-code"),
        (Method::PUT, "/survey/request-code"),
        (Method::GET, "/survey/nothing"),
        (Method::POST, "/survey/nothing/at/all"),
    ] {
        let answer = get(&world, method, path).await;
        assert_eq!(
            answer,
            (StatusCode::NOT_FOUND, "Not Found".to_owned()),
            "{path}"
        );
    }
    let host = world.server().address;
    for path in ["/survey", "/survey/ws"] {
        let (status, page) = get(&world, Method::GET, path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.starts_with("Agent Polls WebSocket Server\n"), "{page}");
        assert!(
            page.contains(&format!("websocat ws://{host}/survey/ws\n")),
            "{page}"
        );
        let health = format!("Health check: http://{host}/survey/health");
        assert!(page.contains(&health), "{page}");
    }
    let broken = world
        .anonymous(Method::GET, "/survey/ws")
        .header("upgrade", "WebSocket");
    let broken = broken.send().await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
    assert_eq!(broken.text().await.unwrap(), "WebSocket upgrade failed");

    let info = world.anonymous(Method::GET, "/survey/info");
    let info = info
        .header("x-forwarded-proto", "https")
        .header("host", "polls.example");
    let info: Value = info.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        info,
        json!({ "websocket_url": "wss://polls.example/survey" })
    );

    // at an address of its own the door is at the root
    let (_, own) = world.server().listeners[0];
    let ask = async |path: &str| {
        let answer = plain().get(format!("http://{own}{path}"));
        let answer = answer.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(ask("/health").await, (StatusCode::OK, "OK".to_owned()));
    assert_eq!(
        ask("/v1/models").await,
        (StatusCode::NOT_FOUND, "Not Found".to_owned())
    );
    assert!(
        ask("/")
            .await
            .1
            .contains(&format!("websocat ws://{own}/ws\n"))
    );
    let info = ask("/info").await.1;
    assert_eq!(info, format!("{{\"websocket_url\":\"ws://{own}\"}}"));
    let mut agent = Agent::dial(&format!("http://{own}/")).await;
    assert!(agent.frame().await.starts_with("=== Welcome"));
}

#[tokio::test]
async fn a_request_for_a_code_that_names_nobody_is_refused_in_the_words_of_the_protocol() {
    let (world, sink) = asked(&three()).await;
    let post = async |body: &str| {
        let request = world.anonymous(Method::POST, "/survey/request-code");
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (body, error) in [
        ("", "Invalid JSON body"),
        ("email=a@b.co", "Invalid JSON body"),
        ("null", "Missing email field"),
        ("{}", "Missing email field"),
        (r#"{"email":""}"#, "Missing email field"),
        (r#"{"email":"a b@c.de"}"#, "Invalid email format"),
        (r#"{"email":["a@b.co"]}"#, "Invalid email format"),
        (r#"{"email":"bücher@b.co"}"#, "Invalid email format"),
        (
            r#"{"email":"a@b.co\r\nBcc: c@d.co"}"#,
            "Invalid email format",
        ),
    ] {
        let expected = format!("{{\"success\":false,\"error\":\"{error}\"}}");
        assert_eq!(post(body).await, (400, expected), "{body}");
    }
    assert_eq!(post(&" ".repeat(20_000)).await.0, 413);
    assert_eq!(sink.count(), 0);
}

#[tokio::test]
async fn what_clients_should_not_send_is_answered_and_ends_nothing() {
    let (world, sink) = asked(&mixed()).await;
    let (mut agent, first) = Agent::verified(&world, &sink, "a@b.co").await;
    assert!(first.ends_with("Question 1 of 4:\nDo you like surveys?"));
    // what is empty is not answered, and binary frames are text
    for empty in ["", "  \r\n", "\u{feff}"] {
        agent.send(Message::text(empty)).await;
    }
    agent.send(Message::binary(vec![b' ', b'y', b'\n'])).await;
    let colours = "Response recorded.\n\nQuestion 2 of 4:\nWhich colour?\n  1) red\n  2) dark blue";
    assert_eq!(agent.frame().await, colours);
    agent.send(Message::binary(vec![0xff, 0xfe])).await;
    assert!(
        agent
            .frame()
            .await
            .starts_with("[ERROR: Invalid response. Please answer with a number from 1 to 2")
    );
    // many at once are answered one by one, in order
    for text in [
        "DARK BLUE",
        "11",
        "ten",
        "7",
        "a reason that is far too long",
        "Because \"\u{1f600}\".",
    ] {
        agent.send(Message::text(text)).await;
    }
    assert!(agent.frame().await.ends_with("Question 3 of 4:\nHow many?"));
    for _ in 0..2 {
        assert!(agent.frame().await.contains("a whole number from 0 to 10"));
    }
    assert!(agent.frame().await.ends_with("Question 4 of 4:\nWhy?"));
    assert!(agent.frame().await.contains("at most 20 characters"));
    let summary = agent.frame().await;
    for line in [
        "Your answer: Yes",
        "Your answer: dark blue",
        "Your answer: 7",
        "Your answer: Because \"\u{1f600}\".",
    ] {
        assert!(summary.contains(line), "{summary}");
    }
    let (mut other, _) = Agent::connect(&world, "/survey").await;
    other.send(Message::text("x".repeat(70_000))).await;
    assert_eq!(other.closed().await, (1009, "Frame too large".to_owned()));
}

#[tokio::test]
async fn the_server_closes_politely_some_time_after_the_last_word() {
    let sink = Sink::start(Protection::StartTls).await;
    let world = World::start(|config| {
        mails_to(&sink)(config);
        config.survey.close_after_s = 1;
    })
    .await;
    ask(
        &world,
        "poll",
        &json!([{ "text": "Well?", "kind": "yes_no" }]),
    )
    .await;
    let (mut agent, _) = Agent::verified(&world, &sink, "a@b.co").await;
    assert!(agent.say("y").await.contains("=== Survey Complete ==="));
    assert_eq!(
        agent.frame().await,
        "Closing connection due to inactivity..."
    );
    let closed = agent.closed().await;
    assert_eq!(closed, (1000, "Inactivity timeout".to_owned()));
}

#[tokio::test]
async fn who_is_too_fast_or_too_many_is_told_so() {
    let world = World::start(|config| {
        config.survey.frames_per_minute = 3;
        config.survey.max_dialogues = 2;
        config.survey.dialogues_per_ip = 1;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let (mut agent, _) = Agent::connect(&world, "/survey").await;
    for _ in 0..3 {
        assert!(agent.say("hello").await.starts_with("Invalid email"));
    }
    assert!(agent.say("hello").await.starts_with("That was too fast"));
    world.app().clock.advance(std::time::Duration::from_mins(2));
    assert!(agent.say("hello").await.starts_with("Invalid email"));

    let from = async |ip: &str| {
        let request = world.anonymous(Method::GET, "/survey/ws");
        let request = request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("x-forwarded-for", ip);
        request.send().await.unwrap()
    };
    let first = from("192.0.2.1").await;
    assert_eq!(first.status(), StatusCode::SWITCHING_PROTOCOLS);
    let again = from("192.0.2.1").await;
    assert_eq!(
        again.status(),
        StatusCode::SERVICE_UNAVAILABLE,
        "two are all there may be"
    );
    assert_eq!(again.headers()["retry-after"], "5");
    assert_eq!(agent.say("quit").await, "Goodbye! Closing connection...");
    agent.closed().await;
    crate::redis_servers::until("the place is free", || async {
        from("192.0.2.1").await.status() == StatusCode::TOO_MANY_REQUESTS
    })
    .await;
    drop(first);
}
