//! What is particular to one vendor of language models.
//! The suite for all of them is in `llm_suite.rs`.
//! Nothing here is about the words of a protocol: those are held against the contract by the fakes.

use std::time::Duration;

use engine::ask::LlmRequest;
use providers::{Kind, Limits, Vendor, http, llm::ResponsesLlm};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    conformance::{answer, ask},
    fakes::KEY,
    llm_subjects::{ANTHROPIC, GEMINI, OLLAMA, OPENAI, RESPONSES, open, start, vendor},
};

#[tokio::test]
async fn ollama_is_found_at_every_address_that_people_write() {
    let fake = start(&OLLAMA).await;
    for end in ["", "/", "/v1", "/v1/", "/api", "/api/"] {
        let base_url = format!("{}{end}", fake.base_url).parse().unwrap();
        let written = Vendor {
            base_url,
            ..vendor(&fake)
        };
        open(&OLLAMA, written).check().await.unwrap();
    }
    assert!(fake.targets().iter().all(|target| target == "/api/tags"));
}

#[tokio::test]
async fn ollama_loads_a_model_ahead_without_a_question() {
    let fake = start(&OLLAMA).await;
    let llm = open(&OLLAMA, vendor(&fake));
    llm.warm(&ask("hello"));
    while fake.targets().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.targets(), ["/api/chat"]);
    // nothing was asked: the fake takes a question without messages for what it is
    assert!(!fake.was_asked());
}

#[tokio::test]
async fn a_connection_is_opened_ahead_once() {
    for subject in [&OPENAI, &RESPONSES, &ANTHROPIC, &GEMINI] {
        let fake = start(subject).await;
        let llm = open(subject, vendor(&fake));
        llm.warm(&ask("hello"));
        while fake.connections() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!fake.was_asked());
        llm.warm(&ask("hello"));
        answer(&*llm, ask("hello")).await.unwrap();
        // the question's own connection waits now
        llm.warm(&ask("hello"));
        llm.check().await.unwrap();
        // one to open it, one question, one check
        assert_eq!(fake.targets().len(), 3, "{:?}", fake.targets());
    }
}

#[tokio::test]
async fn geminis_key_and_a_clients_model_stay_out_of_the_address() {
    let fake = start(&GEMINI).await;
    let llm = open(&GEMINI, vendor(&fake));
    let named = |model: &str| LlmRequest {
        model: Some(model.to_owned()),
        ..ask("hello")
    };
    for model in ["../files", "x?key=1", "x/y", "x:countTokens", ""] {
        let refused = answer(&*llm, named(model)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Rejected, "{model}");
    }
    assert!(fake.targets().is_empty());
    let full = format!("models/{}", fake.model());
    answer(&*llm, named(&full)).await.unwrap();
    llm.check().await.unwrap();
    let targets = fake.targets();
    assert_eq!(targets.len(), 2);
    assert!(!targets.concat().contains(KEY));
}

#[tokio::test]
async fn a_server_of_openais_protocols_need_not_list_its_models() {
    for (subject, alive) in [(&OPENAI, true), (&RESPONSES, true), (&ANTHROPIC, false)] {
        let fake = start(subject).await;
        let elsewhere = Vendor {
            base_url: format!("{}/elsewhere", fake.base_url).parse().unwrap(),
            ..vendor(&fake)
        };
        let checked = open(subject, elsewhere).check().await;
        assert_eq!(checked.is_ok(), alive, "{checked:?}");
    }
}

#[test]
fn openai_itself_is_not_asked_without_a_key() {
    let client = http::client().unwrap();
    let openai = Vendor::new("openai", "https://api.openai.com/v1".parse().unwrap());
    let refused = ResponsesLlm::new(client.clone(), openai).err().unwrap();
    assert_eq!(refused.kind, Kind::Unauthorized);
    assert!(refused.message.contains("providers.openai.api_key"));
    let own = Vendor::new("own", "http://127.0.0.1:11434/v1".parse().unwrap());
    assert!(ResponsesLlm::new(client, own).is_ok());
}

#[tokio::test]
async fn a_refusal_that_never_ends_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let serve = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut question = [0; 4096];
            let _ = socket.read(&mut question).await.unwrap();
            let refusal = b"HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\n{";
            socket.write_all(refusal).await.unwrap();
            // the rest is owed for as long as the client is there
            let _ = socket.read(&mut question).await;
        }
    });
    let stalled = Vendor {
        limits: Limits {
            first_event: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Vendor::new("acme", base_url.parse().unwrap())
    };
    let llm = open(&OPENAI, stalled);
    let refused = answer(&*llm, ask("hello")).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Timeout);
    assert_eq!(llm.check().await.unwrap_err().kind, Kind::Timeout);
    serve.abort();
}
