//! `/v1/surveys`: made, asked, counted, exported, removed; questions from a file; the same survey by voice.

use std::path::Path;

use gateway::{Config, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::polled::{Agent, ask, asked, mixed, plain, three};
use crate::world::{KEY, World, config};

async fn call(world: &World, method: Method, path: &str) -> (u16, Value) {
    let answer = world.request(method, path).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_survey_is_made_asked_answered_counted_and_exported() {
    let (world, sink) = asked(&mixed()).await;
    for (email, answers) in [
        ("ann@example.com", ["y", "1", "3", "=1+1"]),
        ("bob@example.com", ["n", "red", "8", "said \"so\", twice"]),
    ] {
        let (mut agent, _) = Agent::verified(&world, &sink, email).await;
        for answer in answers {
            agent.say(answer).await;
        }
        assert_eq!(agent.say("quit").await, "Goodbye! Closing connection...");
    }
    let (status, results) = call(&world, Method::GET, "/v1/surveys/poll/results").await;
    assert_eq!((status, &results["responses"]), (200, &json!(2)));
    let questions = results["questions"].as_array().unwrap();
    assert_eq!(
        questions[0]["counts"],
        json!([{ "answer": "yes", "count": 1 }, { "answer": "no", "count": 1 }])
    );
    assert_eq!(
        questions[1]["counts"],
        json!([{ "answer": "red", "count": 2 }, { "answer": "dark blue", "count": 0 }])
    );
    assert_eq!(
        questions[2]["number"],
        json!({ "min": 3.0, "max": 8.0, "mean": 5.5 })
    );
    assert_eq!(questions[3]["answers"], 2);
    assert!(!results.to_string().contains("twice"), "words are personal");

    let export = world
        .get("/v1/surveys/poll/responses.csv")
        .send()
        .await
        .unwrap();
    let content_type = export.headers()["content-type"].clone();
    assert_eq!(content_type, "text/csv; charset=utf-8");
    let text = export.text().await.unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(
        lines[0],
        "id,email,completed_at,Do you like surveys?,Which colour?,How many?,Why?"
    );
    assert!(
        lines[1].contains(",ann@example.com,") && lines[1].ends_with(",yes,red,3,'=1+1"),
        "{text}"
    );
    assert!(
        lines[2].ends_with(",no,red,8,\"said \"\"so\"\", twice\""),
        "{text}"
    );

    let (_, listed) = call(&world, Method::GET, "/v1/surveys").await;
    assert_eq!(listed["data"][0]["responses"], 2);
    assert_eq!(listed["data"][0]["questions"], mixed());
    let (status, gone) = call(&world, Method::DELETE, "/v1/surveys/poll").await;
    assert_eq!((status, &gone["deleted"]), (200, &json!(true)));
    for path in ["/v1/surveys/poll", "/v1/surveys/poll/results"] {
        let (status, answer) = call(&world, Method::GET, path).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (404, &json!("survey_not_found"))
        );
    }
}

#[tokio::test]
async fn one_survey_is_asked_at_a_time_and_dialogues_keep_theirs() {
    let (world, sink) = asked(&three()).await;
    let (mut begun, _) = Agent::verified(&world, &sink, "ann@example.com").await;
    ask(
        &world,
        "other",
        &json!([{ "text": "New?", "kind": "yes_no" }]),
    )
    .await;
    assert!(
        begun
            .say("y")
            .await
            .ends_with("Question 2 of 3:\nTwo? (y/n)")
    );
    let (_, first) = Agent::verified(&world, &sink, "bob@example.com").await;
    assert!(first.ends_with("Question 1 of 1:\nNew?"), "{first}");
    let (status, shown) = call(&world, Method::POST, "/v1/surveys/poll/activate").await;
    assert_eq!((status, &shown["active"]), (200, &json!(true)));
    let (_, other) = call(&world, Method::GET, "/v1/surveys/other").await;
    assert_eq!(other["active"], false);
    call(&world, Method::POST, "/v1/surveys/poll/deactivate").await;
    let (mut waiting, none) = Agent::verified(&world, &sink, "eve@example.com").await;
    let no_survey = "Email verified, but no active survey is available right now.\n\nPlease try again later. Type 'quit' to disconnect.";
    assert_eq!(none, no_survey);
    assert_eq!(waiting.say("hello?").await, no_survey);
    call(&world, Method::POST, "/v1/surveys/other/activate").await;
    assert!(
        waiting
            .say("now?")
            .await
            .ends_with("Question 1 of 1:\nNew?")
    );
    let (status, _) = call(&world, Method::POST, "/v1/surveys/none/activate").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_its_place() {
    let world = World::start(|_| {}).await;
    let post = async |body: Value| {
        let answer = world.post("/v1/surveys", &body).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        (
            status,
            body["error"]["param"].clone(),
            body["error"]["code"].clone(),
        )
    };
    let with = |questions: Value| json!({ "name": "Poll", "questions": questions });
    for (body, param) in [
        (with(json!([])), "questions"),
        (
            with(json!([{ "text": "", "kind": "yes_no" }])),
            "questions[0].text",
        ),
        (
            with(json!([{ "text": "Q", "kind": "choice", "options": ["a"] }])),
            "questions[0].options",
        ),
        (
            json!({ "id": "a b", "name": "Poll", "questions": three() }),
            "id",
        ),
        (json!({ "name": "\n", "questions": three() }), "name"),
    ] {
        let (status, at, code) = post(body).await;
        assert_eq!(
            (status, at, code),
            (
                StatusCode::BAD_REQUEST,
                json!(param),
                json!("invalid_value")
            )
        );
    }
    let (status, ..) = post(with(json!([{ "text": "Q", "kind": "essay" }]))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let named = json!({ "id": "one", "name": "Poll", "questions": three() });
    assert_eq!(post(named.clone()).await.0, StatusCode::CREATED);
    let (status, _, code) = post(named).await;
    assert_eq!(
        (status, code),
        (StatusCode::CONFLICT, json!("survey_exists"))
    );
    // and nobody without the right key sees any of it
    for path in ["/v1/surveys", "/v1/surveys/one/responses.csv"] {
        let asked = world.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let key = crate::tenants::first_key(&world, "acme").await;
    let theirs = world.anonymous(Method::GET, "/v1/surveys/one");
    let theirs = theirs.bearer_auth(key);
    assert_eq!(theirs.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn questions_and_texts_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let questions = file(
        folder.path(),
        "questions.json",
        r#"[{"id":"default-v1","name":"Duty","questions":["One? (y/n)","Two? (y/n)","Three? (y/n)"],"created_at":"2025-01-01T00:00:00","active":true}]"#,
    );
    let texts = file(folder.path(), "texts.toml", "goodbye = \"Ciao.\"\n");
    let with = |questions: &str, texts: &str| {
        let mut config = config(&folder);
        config.survey.questions_file = Some(questions.to_owned());
        config.survey.locale_file = Some(texts.to_owned());
        config
    };
    let start = |config: Config| Box::pin(Server::start(config));
    let server = start(with(&questions, &texts)).await.unwrap();
    let url = format!("http://{}", server.address);
    let mut agent = Agent::dial(&format!("{url}/survey")).await;
    agent.frame().await;
    assert_eq!(agent.say("quit").await, "Ciao.");
    let shown = plain().get(format!("{url}/v1/surveys/default-v1"));
    let shown: Value = shown
        .bearer_auth(KEY)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&shown["active"], &shown["questions"]),
        (&json!(true), &three())
    );
    server.stop(std::time::Duration::from_secs(5)).await;

    // the same file again is the same survey; another one under its id is refused, and so is what makes no sense
    let again = start(with(&questions, &texts)).await.unwrap();
    again.stop(std::time::Duration::from_secs(5)).await;
    let changed = file(
        folder.path(),
        "changed.toml",
        "id = \"default-v1\"\nquestions = [\"Other?\"]\n",
    );
    let empty = file(
        folder.path(),
        "empty.toml",
        "id = \"empty\"\nquestions = []\n",
    );
    let unknown = file(folder.path(), "unknown.toml", "hello = \"Hi\"\n");
    for (questions, texts, words) in [
        (&changed, &texts, "give these another id"),
        (&empty, &texts, "1 to 100 questions"),
        (&questions, &unknown, "'hello' is no text of a survey"),
        (&questions, &questions, "survey.locale_file"),
    ] {
        let error = start(with(questions, texts)).await.unwrap_err();
        assert!(error.is_bad_configuration());
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn an_agent_asks_the_same_survey_aloud() {
    let world = World::start(|_| {}).await;
    let new = json!({ "id": "poll", "name": "Poll", "questions": mixed() });
    let made = world.post("/v1/surveys", &new).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let agent = json!({ "name": "pollster", "survey": "poll", "greeting": "Hello.", "tools": [{ "type": "end_call" }] });
    world.post("/v1/agents", &agent).send().await.unwrap();
    let session = json!({ "type": "realtime", "output_modalities": ["text"] });
    let mut caller = Caller::call(&world, "/v1/realtime?model=agent:pollster", &session).await;
    let mut said = Vec::new();
    for words in [
        "Yes, I do.",
        "Hmm.",
        "The red one.",
        "Seven, please.",
        "Because I like it.",
    ] {
        caller.write(words).await;
        let done = caller.until("response.done").await;
        let text = done["response"]["output"][0]["content"][0]["text"].clone();
        said.push(text.as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(
        said[0],
        "Thank you. Which colour? You can say: red, dark blue."
    );
    assert_eq!(
        said[1],
        "I did not get that. Please say red, dark blue. Which colour?"
    );
    assert_eq!(said[2], "Thank you. How many?");
    assert_eq!(said[3], "Thank you. Why?");
    assert!(
        said[4].starts_with("That was the last question."),
        "{said:?}"
    );
    let (_, results) = call(&world, Method::GET, "/v1/surveys/poll/results").await;
    assert_eq!(results["responses"], 1);
    assert_eq!(results["questions"][2]["number"]["mean"], 7.0);

    let lost = json!({ "name": "lost", "survey": "nowhere" });
    world.post("/v1/agents", &lost).send().await.unwrap();
    let path = "/v1/realtime?model=agent:lost";
    let (error, _) = crate::resuming::refused(&world, path, KEY).await;
    assert_eq!(error["error"]["code"], "agent_unusable", "{error}");
}
