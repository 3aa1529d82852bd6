//! Codes: how they are mailed, how often, and what becomes of wrong ones and of mail servers that do not take them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::polled::{Agent, ask, asked, mails_to, request_code, three};
use crate::smtp::{Fault, Protection, Sink};
use crate::world::World;

const ALREADY: &str = "Email verified, but you have already submitted a response to this survey.\n\nThank you for your interest! You may only respond once per survey.\n\nType 'quit' to disconnect.";

fn wrong(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

#[tokio::test]
async fn a_code_is_burned_after_three_wrong_ones_also_over_several_connections() {
    let (world, sink) = asked(&three()).await;
    request_code(&world, "a@b.co").await;
    let code = sink.mail(0).await.code();
    let other = wrong(&code);
    for (left, reply) in [
        (
            2,
            "Incorrect code. 2 attempt(s) remaining. Please try again:",
        ),
        (
            1,
            "Incorrect code. 1 attempt(s) remaining. Please try again:",
        ),
        (
            0,
            "Too many failed attempts. Please enter your email again:",
        ),
    ] {
        let (mut agent, _) = Agent::connect(&world, "/survey").await;
        assert!(
            agent
                .say("a@b.co")
                .await
                .starts_with("A verification code was sent")
        );
        assert_eq!(agent.say(&other).await, reply, "{left}");
    }
    let (mut agent, _) = Agent::connect(&world, "/survey").await;
    let none = agent.say("A@B.co").await;
    assert!(
        none.starts_with("No verification code found for A@B.co."),
        "{none}"
    );
    // a new one may be had at once, for there is none that counts, and it opens
    assert_eq!(request_code(&world, "a@b.co").await.0, 200);
    let code = sink.mail(1).await.code();
    agent.say("a@b.co").await;
    assert!(
        agent
            .say(&code)
            .await
            .starts_with("Email verified successfully!")
    );
}

#[tokio::test]
async fn a_code_that_is_typed_too_late_is_told_so_and_another_opens() {
    let (world, sink) = asked(&three()).await;
    request_code(&world, "a@b.co").await;
    let code = sink.mail(0).await.code();
    let (mut agent, _) = Agent::connect(&world, "/survey").await;
    agent.say("a@b.co").await;
    world.app().clock.advance(Duration::from_secs(601));
    let expired = "Verification code expired. Please enter your email again:";
    assert_eq!(agent.say(&code).await, expired);
    assert!(
        agent
            .say("a@b.co")
            .await
            .starts_with("No verification code found")
    );
    request_code(&world, "a@b.co").await;
    let code = sink.mail(1).await.code();
    agent.say("a@b.co").await;
    let first = agent.say(&code).await;
    assert!(first.starts_with("Email verified successfully!"), "{first}");
}

#[tokio::test]
async fn who_quits_is_let_go_in_every_state() {
    let (world, sink) = asked(&three()).await;
    let mut agents = vec![Agent::connect(&world, "/survey").await.0];
    request_code(&world, "a@b.co").await;
    let code = sink.mail(0).await.code();
    let (mut at_code, _) = Agent::connect(&world, "/survey").await;
    at_code.say("a@b.co").await;
    agents.push(at_code);
    let (mut at_question, _) = Agent::connect(&world, "/survey").await;
    at_question.say("a@b.co").await;
    assert!(at_question.say(&code).await.ends_with("One? (y/n)"));
    agents.push(at_question);
    let (mut at_end, _) = Agent::verified(&world, &sink, "c@d.co").await;
    for _ in 0..3 {
        at_end.say("y").await;
    }
    agents.push(at_end);
    // who leaves without a word of it is answered as well
    let (mut gone, _) = Agent::connect(&world, "/survey").await;
    gone.send(Message::Close(None)).await;
    gone.gone().await;
    for (mut agent, quit) in agents.into_iter().zip(["quit", "QUIT\n", " Quit ", "qUIT"]) {
        assert_eq!(agent.say(quit).await, "Goodbye! Closing connection...");
        let closed = agent.closed().await;
        assert_eq!(closed, (1000, "User requested disconnect".to_owned()));
    }
}

#[tokio::test]
async fn nobody_answers_twice_by_case_or_tag() {
    let (world, sink) = asked(&three()).await;
    let (mut agent, _) = Agent::verified(&world, &sink, "Ann@Example.com").await;
    for answer in ["y", "y", "y"] {
        agent.say(answer).await;
    }
    for again in ["ann@example.com", "ANN@EXAMPLE.COM", "ann+2@example.com"] {
        world.app().clock.advance(Duration::from_secs(90));
        let (_, reply) = Agent::verified(&world, &sink, again).await;
        assert_eq!(reply, ALREADY, "{again}");
    }
    let results = world.get("/v1/surveys/poll/results").send().await.unwrap();
    let results: Value = results.json().await.unwrap();
    assert_eq!(results["responses"], 1);
}

#[tokio::test]
async fn two_who_answer_at_once_with_one_address_count_once() {
    let (world, sink) = asked(&three()).await;
    let (mut one, _) = Agent::verified(&world, &sink, "ann@example.com").await;
    world.app().clock.advance(Duration::from_secs(90));
    let (mut other, _) = Agent::verified(&world, &sink, "Ann+x@example.com").await;
    for agent in [&mut one, &mut other] {
        agent.say("y").await;
        agent.say("y").await;
    }
    assert!(one.say("y").await.contains("=== Survey Complete ==="));
    assert_eq!(other.say("n").await, ALREADY);
}

#[tokio::test]
async fn mails_are_limited_by_mailbox_and_by_network() {
    let sink = Sink::start(Protection::StartTls).await;
    let world = World::start(|config| {
        mails_to(&sink)(config);
        config.survey.codes_per_mailbox_per_hour = 2;
        config.survey.codes_per_ip_per_hour = 4;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let post = async |email: &str, ip: &str| {
        let request = world.anonymous(Method::POST, "/survey/request-code");
        let request = request.header("x-forwarded-for", ip);
        let body = json!({ "email": email }).to_string();
        let answer = request.body(body).send().await.unwrap();
        let wait = answer
            .headers()
            .get("retry-after")
            .map(|it| it.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            wait,
            answer.json::<Value>().await.unwrap(),
        )
    };
    let later = || world.app().clock.advance(Duration::from_secs(61));
    assert_eq!(post("a@b.co", "192.0.2.1").await.0, 200);
    // moments later the code that was mailed still does
    assert_eq!(post("A@b.co", "192.0.2.2").await.0, 200);
    assert_eq!(sink.count(), 1);
    later();
    assert_eq!(post("a+tag@b.co", "192.0.2.2").await.0, 200);
    later();
    let (status, wait, body) = post("a@b.co", "192.0.2.3").await;
    assert_eq!(status, 429, "{body}");
    assert!(wait.unwrap().parse::<u64>().unwrap() > 60);
    assert_eq!(body["success"], false);
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .starts_with("Too many codes")
    );
    for (email, status) in [
        ("c@b.co", 200),
        ("d@b.co", 200),
        ("e@b.co", 200),
        ("f@b.co", 429),
    ] {
        assert_eq!(post(email, "192.0.2.1").await.0, status, "{email}");
    }
    assert_eq!(sink.count(), 5);
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("antiphon_survey_codes_total{outcome=\"too_many\"} 2"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_mail_server_that_refuses_is_told_and_one_that_hesitates_is_asked_again() {
    let (world, sink) = asked(&three()).await;
    sink.fail(&[Fault::NoSuchMailbox]);
    let (status, body) = request_code(&world, "nobody@b.co").await;
    assert_eq!((status, &body["success"]), (502, &json!(false)), "{body}");
    let (mut agent, _) = Agent::connect(&world, "/survey").await;
    assert!(
        agent
            .say("nobody@b.co")
            .await
            .starts_with("No verification code found")
    );
    // nothing has to be waited for: the refused one counts no more
    sink.fail(&[Fault::ContentRefused]);
    assert_eq!(request_code(&world, "nobody@b.co").await.0, 502);
    for fault in [Fault::TryAgainLater, Fault::HangUp] {
        let (email, before) = (format!("{fault:?}@b.co"), sink.count());
        sink.fail(&[fault]);
        assert_eq!(request_code(&world, &email).await.0, 200);
        let code = sink.mail(before).await.code();
        agent.say(&email).await;
        assert!(
            agent.say(&code).await.starts_with("Email verified"),
            "{email}"
        );
        (agent, _) = Agent::connect(&world, "/survey").await;
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_tls_or_to_a_stranger() {
    let open = Sink::start(Protection::None).await;
    let world = World::start(mails_to(&open)).await;
    assert_eq!(request_code(&world, "a@b.co").await.0, 200);
    let stranger = Sink::start(Protection::StartTls).await;
    let careful = World::start(|config| {
        mails_to(&stranger)(config);
        config.mail.ca_file = None;
    })
    .await;
    assert_eq!(request_code(&careful, "a@b.co").await.0, 200);
    let tried = "antiphon_mails_total{outcome=\"delayed\"} 1";
    for world in [&world, &careful] {
        let metrics = world
            .get("/metrics")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(metrics.contains(tried), "{metrics}");
    }
    assert_eq!((open.count(), stranger.count()), (0, 0));
    assert_eq!(open.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn mail_goes_out_over_tls_from_the_beginning_in_the_open_and_with_a_login() {
    let login = Sink::with(Protection::StartTls, Some(("polls", "pass word"))).await;
    let world = World::start(|config| {
        mails_to(&login)(config);
        config.mail.username = Some("polls".to_owned());
        config.mail.password = Some(gateway::config::Secret::new("pass word"));
    })
    .await;
    assert_eq!(request_code(&world, "a@b.co").await.0, 200);
    let mail = login.mail(0).await;
    assert_eq!(
        (mail.user.as_deref(), mail.is_protected),
        (Some("polls"), true)
    );

    let implicit = Sink::start(Protection::Implicit).await;
    let world = World::start(|config| {
        mails_to(&implicit)(config);
        config.mail.implicit_tls = true;
    })
    .await;
    assert_eq!(request_code(&world, "a@b.co").await.0, 200);
    assert!(implicit.mail(0).await.is_protected);

    let open = Sink::start(Protection::None).await;
    let world = World::start(|config| {
        mails_to(&open)(config);
        config.mail.use_tls = false;
    })
    .await;
    assert_eq!(request_code(&world, "a@b.co").await.0, 200);
    assert!(!open.mail(0).await.is_protected);
    for sink in [&login, &implicit, &open] {
        assert_eq!(sink.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn without_a_mail_server_nobody_is_told_that_a_mail_is_coming() {
    let world = World::start(|_| {}).await;
    ask(&world, "poll", &three()).await;
    let (status, body) = request_code(&world, "a@b.co").await;
    assert_eq!((status, &body["success"]), (503, &json!(false)));
    let (mut agent, _) = Agent::connect(&world, "/survey?dialect=v1").await;
    assert_eq!(
        agent.say("a@b.co").await,
        "Failed to send verification email. Please try again or use a different email:"
    );
}
