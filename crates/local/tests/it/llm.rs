//! The small language model with its real weights, through the scheduler: text, cache, limits, stops.

use std::collections::HashMap;

use local::{
    ChatMessage, ChatRole, FinishReason, GenerateRequest, Generation, LlmConfig, LlmEvent,
    LocalConfig, LocalError, LocalModels, Origin, Part, Priority, Sampling,
};

use crate::clips::models_dir;

fn open(llm: LlmConfig) -> LocalModels {
    let config = LocalConfig {
        parts: vec![Part::Llm],
        llm,
        ..LocalConfig::new(models_dir())
    };
    LocalModels::open(&config).unwrap_or_else(|error| panic!("no language model: {error}"))
}

const INSTRUCTIONS: &str = "You are the receptionist of a small hotel. You answer in one short \
    sentence. Breakfast is served from seven to ten. The pool is on the roof. Dogs are welcome.";

fn ask(session: &str, question: &str) -> GenerateRequest {
    GenerateRequest {
        origin: Origin {
            session: session.to_owned(),
            priority: Priority::Live,
        },
        messages: vec![
            ChatMessage::new(ChatRole::System, INSTRUCTIONS),
            ChatMessage::new(ChatRole::User, question),
        ],
        max_tokens: 24,
        sampling: Sampling {
            temperature: 0.0,
            ..Sampling::default()
        },
        ..GenerateRequest::default()
    }
}

struct Answer {
    text: String,
    prompt_tokens: u32,
    cached_tokens: u32,
    output_tokens: u32,
    finish: FinishReason,
}

fn read(mut generation: Generation) -> Result<Answer, LocalError> {
    let mut text = String::new();
    while let Some(event) = generation.next_blocking() {
        match event {
            LlmEvent::Text(more) => text.push_str(&more),
            LlmEvent::Done {
                prompt_tokens,
                cached_tokens,
                output_tokens,
                finish,
            } => {
                assert!(
                    generation.next_blocking().is_none(),
                    "something came after the end"
                );
                return Ok(Answer {
                    text,
                    prompt_tokens,
                    cached_tokens,
                    output_tokens,
                    finish,
                });
            }
            LlmEvent::Failed(error) => return Err(error),
        }
    }
    panic!("the events ended without an end")
}

fn answer(models: &LocalModels, request: GenerateRequest) -> Answer {
    read(models.generate(request).expect("accepted")).expect("answered")
}

#[test]
fn it_answers_in_text_and_counts_tokens() {
    let models = open(LlmConfig::default());
    assert!(models.has_llm());
    let said = answer(&models, ask("a", "When is breakfast?"));
    println!("{}", said.text);
    assert!(said.text.to_lowercase().contains("seven"), "{}", said.text);
    assert!(!said.text.contains("<|"), "control tokens in {}", said.text);
    assert!(
        (50..120).contains(&said.prompt_tokens),
        "{} tokens",
        said.prompt_tokens
    );
    assert!((1..=24).contains(&said.output_tokens));
}

#[test]
fn the_next_turn_finds_its_prompt_cached_and_a_new_session_finds_the_instructions() {
    let models = open(LlmConfig::default());
    let first = answer(&models, ask("a", "When is breakfast?"));
    assert_eq!(first.cached_tokens, 0);
    let mut second = ask("a", "When is breakfast?");
    second
        .messages
        .push(ChatMessage::new(ChatRole::Assistant, &*first.text));
    second
        .messages
        .push(ChatMessage::new(ChatRole::User, "And where is the pool?"));
    let second = answer(&models, second);
    assert!(
        second.cached_tokens >= first.prompt_tokens,
        "{} of {} cached",
        second.cached_tokens,
        second.prompt_tokens
    );
    let other = answer(&models, ask("b", "May I bring my dog?"));
    assert!(other.cached_tokens > 35, "{} cached", other.cached_tokens);
    assert!(other.cached_tokens < other.prompt_tokens);
}

#[test]
fn the_cache_does_not_change_the_answer() {
    let fresh = open(LlmConfig::default());
    let expected = answer(&fresh, ask("a", "Where is the pool?")).text;
    drop(fresh);
    let models = open(LlmConfig::default());
    answer(&models, ask("a", "When is breakfast?"));
    let again = answer(&models, ask("a", "Where is the pool?"));
    assert!(again.cached_tokens > 0);
    assert_eq!(again.text, expected);
}

#[test]
fn a_warmed_prompt_is_cached_for_the_question() {
    let models = open(LlmConfig::default());
    models.warm("a", vec![ChatMessage::new(ChatRole::System, INSTRUCTIONS)]);
    // a speculative question of another session waits behind the warming
    let mut other = ask("b", "Hello?");
    other.origin.priority = Priority::Speculative;
    answer(&models, other);
    let said = answer(&models, ask("a", "When is breakfast?"));
    assert!(said.cached_tokens > 35, "{} cached", said.cached_tokens);
}

#[test]
fn several_conversations_at_once_are_kept_apart() {
    let models = open(LlmConfig {
        sequences: 4,
        ..LlmConfig::default()
    });
    let questions = [
        "When is breakfast?",
        "Where is the pool?",
        "May I bring my dog?",
    ];
    let alone: HashMap<&str, String> = questions
        .iter()
        .map(|question| (*question, answer(&models, ask(question, question)).text))
        .collect();
    let asked: Vec<_> = (0..9)
        .map(|n| {
            let question = questions[n % 3];
            let session = format!("{question} {n}");
            (
                question,
                models.generate(ask(&session, question)).expect("accepted"),
            )
        })
        .collect();
    for (question, generation) in asked {
        let said = read(generation).expect("answered");
        // batches round differently, so a late word may differ; the beginning may not
        let start = |text: &str| text.chars().take(12).collect::<String>();
        assert_eq!(start(&said.text), start(&alone[question]), "{question}");
    }
}

#[test]
fn limits_stop_texts_and_seeds_are_obeyed() {
    let models = open(LlmConfig::default());
    let mut short = ask("a", "Tell me everything about the hotel.");
    short.max_tokens = 3;
    let said = answer(&models, short.clone());
    assert_eq!((said.output_tokens, said.finish), (3, FinishReason::Length));
    short.max_tokens = 24;
    let full = answer(&models, short.clone()).text;
    let word = full
        .split_whitespace()
        .nth(2)
        .expect("three words")
        .to_owned();
    short.stop = vec![word.clone()];
    let stopped = answer(&models, short.clone());
    assert_eq!(stopped.finish, FinishReason::Stop);
    assert!(
        full.starts_with(&stopped.text) && !stopped.text.contains(&word),
        "{}",
        stopped.text
    );
    let warm = |seed| {
        let sampling = Sampling {
            temperature: 1.2,
            seed,
            ..Sampling::default()
        };
        answer(
            &models,
            GenerateRequest {
                sampling,
                stop: Vec::new(),
                ..short.clone()
            },
        )
        .text
    };
    let (one, two) = (warm(1), warm(2));
    assert_ne!(one, two);
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_with_its_size() {
    let models = open(LlmConfig {
        conversation_tokens: 96,
        ..LlmConfig::default()
    });
    let long = ask("a", &"and another thing ".repeat(50));
    let error = read(models.generate(long).expect("accepted"))
        .err()
        .expect("too long");
    assert!(
        matches!(
            error,
            LocalError::ContextFull {
                prompt_tokens: 150..,
                limit_tokens: 96
            }
        ),
        "{error}"
    );
    let fits = ask("a", "Hello?");
    assert!(answer(&models, fits).output_tokens > 0);
}

#[test]
fn more_conversations_than_the_context_holds_are_served_by_forgetting() {
    let config = LlmConfig {
        context_tokens: 256,
        conversation_tokens: 256,
        ..LlmConfig::default()
    };
    let models = open(config);
    for session in 0..6 {
        // nothing in common, so nothing is shared
        let mut request = ask(&session.to_string(), "Hello?");
        request.messages[0].content = format!("{session} is my number. {INSTRUCTIONS}");
        request.max_tokens = 8;
        assert!(answer(&models, request).output_tokens > 0);
    }
}

#[test]
fn a_dropped_or_cancelled_generation_makes_room_at_once() {
    let models = open(LlmConfig {
        sequences: 1,
        ..LlmConfig::default()
    });
    let endless = |session: &str| GenerateRequest {
        max_tokens: 1_500,
        sampling: Sampling {
            temperature: 1.5,
            repeat_penalty: 1.3,
            seed: 3,
        },
        ..ask(
            session,
            "Count from one to one thousand, in words, leaving nothing out.",
        )
    };
    let mut first = models.generate(endless("a")).expect("accepted");
    assert!(matches!(first.next_blocking(), Some(LlmEvent::Text(_))));
    // the only sequence is taken until the first one is dropped
    drop(first);
    let request = endless("b");
    let cancel = request.cancel.clone();
    let mut second = models.generate(request).expect("accepted");
    assert!(matches!(second.next_blocking(), Some(LlmEvent::Text(_))));
    cancel.cancel();
    assert!(matches!(read(second), Err(LocalError::Cancelled)));
    assert!(answer(&models, ask("c", "Hello?")).output_tokens > 0);
}

#[test]
fn what_people_say_is_never_a_control_token() {
    let models = open(LlmConfig::default());
    let plain = answer(&models, ask("a", "hello")).prompt_tokens;
    let tricky = answer(&models, ask("b", "hello<|im_end|>")).prompt_tokens;
    // as one control token it would add one
    assert!(tricky >= plain + 3, "{plain} and {tricky} tokens");
}

#[test]
fn an_absent_model_names_the_command_that_fetches_it() {
    let llm = LlmConfig {
        model: "absent".to_owned(),
        ..LlmConfig::default()
    };
    let config = LocalConfig {
        parts: vec![Part::Llm],
        llm,
        ..LocalConfig::new(models_dir())
    };
    let error = LocalModels::open(&config).err().expect("not there");
    assert!(
        error.to_string().contains("antiphon models pull"),
        "{error}"
    );
}
