//! The survey by text where servers come and go: restarts, two servers behind one Redis, a database that is away.

use std::time::Duration;

use gateway::config::Secret;
use gateway::{Config, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::polled::{Agent, ask, mails_to, plain, request_code, three};
use crate::postgres::{APPLICATION, Database, OWNER, Server as Postgres};
use crate::redis_servers::Servers;
use crate::smtp::{Protection, Sink};
use crate::world::{World, config};

/// A server with its data in `folder`, which may be another's that has ended.
async fn server(folder: &TempDir, change: impl Fn(&mut Config)) -> Server {
    let mut config = config(folder);
    change(&mut config);
    Box::pin(Server::start(config)).await.unwrap()
}

async fn stop(server: Server) {
    server.stop(Duration::from_secs(5)).await;
}

fn at(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

async fn dial(server: &Server, path: &str) -> (Agent, String) {
    let mut agent = Agent::dial(&at(server, path)).await;
    let first = agent.frame().await;
    (agent, first)
}

async fn post(server: &Server, path: &str, body: &Value) -> u16 {
    let request = plain()
        .post(at(server, path))
        .bearer_auth(crate::world::KEY);
    request.json(body).send().await.unwrap().status().as_u16()
}

/// The secret that a client may come back with.
fn secret(frame: &str) -> &str {
    frame
        .strip_prefix("Session: ")
        .unwrap_or_else(|| panic!("{frame}"))
}

/// From a request for a code to the summary, with a restart before each step but the first.
async fn a_survey_through_restarts(change: impl Fn(&mut Config), sink: &Sink) {
    let folder = tempfile::tempdir().unwrap();
    let first = server(&folder, &change).await;
    let new = json!({ "id": "poll", "name": "Poll", "questions": three(), "active": true });
    assert_eq!(post(&first, "/v1/surveys", &new).await, 201);
    let code = json!({ "email": "ann@example.com" });
    assert_eq!(post(&first, "/survey/request-code", &code).await, 200);
    let code = sink.mail(0).await.code();
    stop(first).await;

    let second = server(&folder, &change).await;
    let (mut agent, session) = dial(&second, "/survey/ws?resume=new").await;
    let back = format!("/survey/ws?resume={}", secret(&session));
    assert!(agent.frame().await.starts_with("=== Welcome"));
    assert!(
        agent
            .say("ann@example.com")
            .await
            .starts_with("A verification code was sent")
    );
    stop(second).await;
    let closed = agent.closed().await;
    assert_eq!(closed, (1001, "Server shutting down".to_owned()));

    let mut typed = vec![code.as_str(), "y", "n", "y"].into_iter();
    let mut prompts = [
        "A verification code was sent",
        "Question 1 of 3",
        "Question 2 of 3",
        "Question 3 of 3",
    ]
    .into_iter();
    let mut last = String::new();
    for text in typed.by_ref() {
        let server = server(&folder, &change).await;
        let (mut agent, again) = dial(&server, &back).await;
        assert_eq!(again, session);
        let prompt = agent.frame().await;
        let expected = format!(
            "Welcome back. We go on where we stopped.\n\n{}",
            prompts.next().unwrap()
        );
        assert!(prompt.starts_with(&expected), "{prompt}");
        last = agent.say(text).await;
        stop(server).await;
    }
    assert!(
        last.contains(
            "Q1: One? (y/n)\n    Your answer: Yes\n\nQ2: Two? (y/n)\n    Your answer: No"
        ),
        "{last}"
    );
    // who comes back after the end is told so, and is let go
    let server = server(&folder, |config| {
        change(config);
        config.survey.close_after_s = 1;
    })
    .await;
    let (mut agent, _) = dial(&server, &back).await;
    assert!(agent.frame().await.contains("Survey already completed."));
    assert!(agent.frame().await.starts_with("Closing connection"));
    stop(server).await;
}

#[tokio::test]
async fn a_restart_before_each_step_loses_nothing_without_redis() {
    let sink = Sink::start(Protection::StartTls).await;
    Box::pin(a_survey_through_restarts(mails_to(&sink), &sink)).await;
}

#[tokio::test]
async fn a_restart_before_each_step_loses_nothing_with_redis() {
    let redis = Servers::single().await;
    let sink = Sink::start(Protection::StartTls).await;
    let mails = mails_to(&sink);
    let with_redis = |config: &mut Config| {
        mails(config);
        config.redis.url = Some(Secret::new(redis.url.as_str()));
    };
    Box::pin(a_survey_through_restarts(with_redis, &sink)).await;
}

/// A server of a fleet: PostgreSQL, and Redis where there is one.
async fn member(database: &Database<'_>, redis: &Servers, sink: &Sink) -> World {
    World::start(|config| {
        mails_to(sink)(config);
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        config.database.acquire_timeout_ms = 1000;
        config.redis.url = Some(Secret::new(redis.url.as_str()));
        let key = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        config.encryption.keys = Some(Secret::new(key));
    })
    .await
}

#[tokio::test]
async fn a_dialogue_moves_between_two_servers_and_its_code_is_one() {
    let redis = Servers::single().await;
    let database = Postgres::shared().database(OWNER);
    let sink = Sink::start(Protection::StartTls).await;
    let one = member(&database, &redis, &sink).await;
    let other = member(&database, &redis, &sink).await;
    ask(&one, "poll", &three()).await;
    assert_eq!(request_code(&one, "ann@example.com").await.0, 200);
    let code = sink.mail(0).await.code();
    // the other server knows that one is on its way
    assert_eq!(request_code(&other, "ann@example.com").await.0, 200);
    assert_eq!(sink.count(), 1);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for (world, reply) in [
        (
            &one,
            "Incorrect code. 2 attempt(s) remaining. Please try again:",
        ),
        (
            &other,
            "Incorrect code. 1 attempt(s) remaining. Please try again:",
        ),
    ] {
        let (mut agent, _) = Agent::connect(world, "/survey").await;
        agent.say("ann@example.com").await;
        assert_eq!(agent.say(wrong).await, reply);
    }
    let (mut agent, session) = Agent::connect(&one, "/survey?resume=new").await;
    agent.frame().await;
    agent.say("ann@example.com").await;
    assert!(
        agent
            .say(&code)
            .await
            .ends_with("Question 1 of 3:\nOne? (y/n)")
    );
    assert!(
        agent
            .say("y")
            .await
            .ends_with("Question 2 of 3:\nTwo? (y/n)")
    );

    let back = format!("/survey?resume={}", secret(&session));
    let (mut moved, again) = Agent::connect(&other, &back).await;
    assert_eq!(again, session);
    assert!(
        moved
            .frame()
            .await
            .ends_with("Question 2 of 3:\nTwo? (y/n)")
    );
    // the connection that was left open may not answer in its place
    agent
        .send(tokio_tungstenite::tungstenite::Message::text("y"))
        .await;
    let closed = agent.closed().await;
    assert_eq!(closed, (1000, "Continued elsewhere".to_owned()));
    assert!(
        moved
            .say("n")
            .await
            .ends_with("Question 3 of 3:\nThree? (y/n)")
    );
    let summary = moved.say("n").await;
    assert!(
        summary.contains("Q1: One? (y/n)\n    Your answer: Yes"),
        "{summary}"
    );
    assert!(
        summary.contains("Q2: Two? (y/n)\n    Your answer: No"),
        "{summary}"
    );

    // a secret that nobody has begins anew, with another
    let (mut stranger, anew) = Agent::connect(&other, "/survey?resume=svy_guessed").await;
    assert!(secret(&anew) != "svy_guessed" && secret(&anew).len() > 30);
    assert!(stranger.frame().await.starts_with("=== Welcome"));
    let texts = ["ann@", "example.com", secret(&session)];
    let open = lies_open(&redis, &database, &texts).await;
    assert_eq!(open, Vec::<String>::new());
}

/// Whether nothing of these texts lies open in Redis or in PostgreSQL.
async fn lies_open(redis: &Servers, database: &Database<'_>, texts: &[&str]) -> Vec<String> {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*survey*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(!keys.is_empty());
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for key in &keys {
        let all: Result<Vec<Vec<u8>>, _> = redis::cmd("HGETALL")
            .arg(key)
            .query_async(&mut connection)
            .await;
        // what is no hash is a limit's count
        kept.extend(all.unwrap_or_default());
        kept.push(key.clone().into_bytes());
    }
    let rows = "SELECT encode(content, 'escape'), person, id FROM survey_responses";
    kept.push(database.psql("postgres", rows).unwrap().into_bytes());
    let is_open = |text: &&&str| {
        let text = text.as_bytes();
        kept.iter()
            .any(|it| it.windows(text.len()).any(|part| part == text))
    };
    texts
        .iter()
        .filter(is_open)
        .map(|text| (*text).to_owned())
        .collect()
}

#[tokio::test]
async fn answers_that_cannot_be_stored_are_typed_again_and_stored_once() {
    let postgres = Postgres::own();
    let database = postgres.database(OWNER);
    let redis = Servers::single().await;
    let sink = Sink::start(Protection::StartTls).await;
    let world = member(&database, &redis, &sink).await;
    ask(&world, "poll", &three()).await;
    let (mut agent, _) = Agent::verified(&world, &sink, "ann@example.com").await;
    agent.say("y").await;
    agent.say("y").await;
    postgres.stop();
    let failed = "An error occurred processing your input. Please try again.";
    assert_eq!(agent.say("n").await, failed);
    assert_eq!(agent.say("n").await, failed);
    postgres.start();
    let summary = agent.say("y").await;
    assert!(
        summary.contains("Q3: Three? (y/n)\n    Your answer: Yes"),
        "{summary}"
    );
    let results = world.get("/v1/surveys/poll/results").send().await.unwrap();
    let results: Value = results.json().await.unwrap();
    assert_eq!(results["responses"], 1);
    assert_eq!(
        results["questions"][2]["counts"],
        json!([{ "answer": "yes", "count": 1 }, { "answer": "no", "count": 0 }])
    );
}

#[tokio::test]
async fn without_redis_codes_wait_for_it_and_dialogues_go_on() {
    let mut redis = Servers::single().await;
    let sink = Sink::start(Protection::StartTls).await;
    let world = World::start(|config| {
        mails_to(&sink)(config);
        config.redis.url = Some(Secret::new(redis.url.as_str()));
    })
    .await;
    ask(&world, "poll", &three()).await;
    let (mut agent, _) = Agent::verified(&world, &sink, "ann@example.com").await;
    redis.nodes[0].kill();
    assert!(agent.say("y").await.starts_with("Response recorded."));
    let (status, body) = request_code(&world, "bob@example.com").await;
    assert_eq!((status, &body["success"]), (503, &json!(false)), "{body}");
    let (mut other, _) = Agent::connect(&world, "/survey").await;
    let failed = "An error occurred processing your input. Please try again.";
    assert_eq!(other.say("bob@example.com").await, failed);
    agent.say("y").await;
    assert!(agent.say("y").await.contains("=== Survey Complete ==="));
    assert_eq!(sink.count(), 1);
}
