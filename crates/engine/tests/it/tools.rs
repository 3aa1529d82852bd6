//! Functions that the server runs: one response, however often the model calls, and never a silence that explains nothing.

use engine::ask::{LlmMessage, ServerTool, ToolOutcome, ToolRunner};
use engine::session::{Input, Policy, ToolSource};
use serde_json::json;
use wire::realtime::session::{Tool, ToolChoice};
use wire::realtime::{ServerEvent, SessionKind};

use crate::ladder;
use crate::world::{Answer, World, policy};

pub(crate) fn tool(name: &str, runner: ToolRunner) -> ServerTool {
    ServerTool {
        name: name.to_owned(),
        description: Some(format!("Does {name}.")),
        parameters: Some(json!({"type": "object"})),
        runner,
        filler: Some("One moment, please.".to_owned()),
        filler_after_ms: 600,
    }
}

pub(crate) fn world() -> World {
    let tools = vec![
        tool("look_up", ToolRunner::Detached),
        tool("second", ToolRunner::Detached),
        tool("reason", ToolRunner::Attended),
        ServerTool {
            filler: None,
            ..tool("end_call", ToolRunner::EndCall)
        },
    ];
    World::with(SessionKind::Realtime, Policy { tools, ..policy() })
}

pub(crate) fn ask(world: &mut World, words: &str) {
    world.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_text", "text": words}]}}),
    );
    world.client(json!({"type": "response.create"}));
}

pub(crate) fn transcript(world: &World) -> String {
    let done = world.last("response.done");
    let content = &done["response"]["output"][0]["content"][0];
    content["transcript"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Everything that was announced as an item.
fn announced(world: &World) -> Vec<String> {
    let items = world.log.iter().filter_map(|(_, event)| match event {
        ServerEvent::ItemAdded { item, .. } => Some(serde_json::to_value(item).unwrap()),
        _ => None,
    });
    items
        .map(|item| item["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_call_and_its_result_stay_inside_one_response() {
    let mut world = world();
    world.answers.extend([
        Answer::SayThenCall("Let me see."),
        Answer::Say("It is sunny."),
    ]);
    ask(&mut world, "weather?");
    world.pass(300);
    let (_, call) = world.running[0].clone();
    assert_eq!(
        (call.name.as_str(), call.arguments.as_str()),
        ("look_up", "{\"q\":1}")
    );
    assert_eq!(call.turn, 1);
    assert!(call.history.is_empty());
    assert_eq!(world.count("response.done"), 0);
    world.returns("24 degrees");
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.created"), 1);
    assert_eq!(world.count("response.done"), 1);
    assert_eq!(transcript(&world), "Let me see. It is sunny.");
    // a client that did not offer the function hears nothing of it
    assert_eq!(announced(&world), ["message", "message"]);
    let usage = &world.last("response.done")["response"]["usage"];
    assert_eq!(usage["input_token_details"]["text_tokens"], 40);

    let second = &world.asked[1];
    let said: Vec<_> = second.messages.iter().skip(2).collect();
    let [
        LlmMessage::Assistant(said),
        LlmMessage::ToolCall { call_id, .. },
        LlmMessage::ToolOutput {
            call_id: of,
            output,
        },
    ] = said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!(
        (said.as_str(), output.as_str()),
        ("Let me see.", "24 degrees")
    );
    assert_eq!(call_id, of);

    // the next question reads it once, call before words
    ask(&mut world, "and tomorrow?");
    world.settle();
    let kinds: Vec<&str> = world.asked[2].messages.iter().map(kind).collect();
    assert_eq!(
        kinds,
        ["system", "user", "call", "output", "assistant", "user"]
    );
}

pub(crate) fn kind(message: &LlmMessage) -> &'static str {
    match message {
        LlmMessage::System(_) => "system",
        LlmMessage::User { .. } => "user",
        LlmMessage::Assistant(_) => "assistant",
        LlmMessage::ToolCall { .. } => "call",
        LlmMessage::ToolOutput { .. } => "output",
    }
}

#[test]
fn a_slow_function_is_explained_once_and_again_after_a_while() {
    let mut world = world();
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Here it is.")]);
    ask(&mut world, "look it up");
    world.pass(8_500);
    assert_eq!(
        world.spoken.join(" "),
        "One moment, please. I am still working on it."
    );
    world.returns("found");
    world.settle();
    ladder::check(&world);
    assert_eq!(
        transcript(&world),
        "One moment, please. I am still working on it. Here it is."
    );
    // what the model reads last is the result
    let read: Vec<&str> = world.asked[1].messages.iter().map(kind).collect();
    assert_eq!(read, ["system", "user", "assistant", "call", "output"]);
    assert_eq!(world.count("response.done"), 1);
}

#[test]
fn a_quick_function_needs_no_explanation_and_neither_does_one_that_was_announced() {
    let mut world = world();
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Quick.")]);
    ask(&mut world, "look it up");
    world.pass(500);
    world.returns("found");
    world.settle();
    assert_eq!(world.spoken, ["Quick."]);

    let announcement = "Let me look that up for you in the big book, which takes a moment.";
    world.answers.extend([Answer::SayThenCall(announcement)]);
    ask(&mut world, "again");
    // the announcement takes longer to hear than the function may be silent
    world.pass(2_000);
    assert!(!world.spoken.join(" ").contains("One moment"));
    world.pass(8_000);
    assert!(world.spoken.join(" ").contains("One moment, please."));
}

#[test]
fn written_responses_are_not_filled() {
    let mut world = world();
    world.update(json!({"output_modalities": ["text"]}));
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Here.")]);
    ask(&mut world, "look it up");
    world.pass(9_000);
    world.returns("found");
    world.settle();
    let done = world.last("response.done");
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], "Here.");
}

#[test]
fn several_calls_are_read_together() {
    let mut world = World::with(
        SessionKind::Realtime,
        Policy {
            tools: vec![
                tool("first", ToolRunner::Detached),
                tool("second", ToolRunner::Detached),
            ],
            ..policy()
        },
    );
    world
        .answers
        .extend([Answer::CallBoth, Answer::Say("Both.")]);
    ask(&mut world, "both");
    world.pass(300);
    assert_eq!(world.running.len(), 2);
    let (second, _) = world.running.remove(1);
    world.input(Input::Tool(
        second,
        ToolOutcome::Failed("no luck".to_owned()),
    ));
    world.pass(300);
    assert_eq!(world.asked.len(), 1);
    world.returns("one");
    world.settle();
    let outputs: Vec<&str> = world.asked[1]
        .messages
        .iter()
        .filter_map(|message| match message {
            LlmMessage::ToolOutput { output, .. } => Some(output.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(outputs, ["one", "Error: no luck"]);
    assert_eq!(transcript(&world), "Both.");
}

#[test]
fn calls_of_the_client_and_of_the_server_in_one_answer_end_it() {
    let mut world = world();
    let function = json!({"type": "function", "name": "first", "parameters": {"type": "object"}});
    world.update(json!({"tools": [function]}));
    world.answers.extend([Answer::CallBoth]);
    ask(&mut world, "both");
    // long enough for a phrase, which would have no place behind a call
    world.pass(9_000);
    assert_eq!(world.count("response.function_call_arguments.done"), 0);
    assert_eq!(world.count("response.done"), 0);
    assert!(world.spoken.is_empty());
    world.returns("two");
    world.settle();
    ladder::check(&world);
    let output = world.last("response.done")["response"]["output"].clone();
    assert_eq!(output.as_array().unwrap().len(), 1);
    assert_eq!(output[0]["name"], "first");
    let call = output[0]["call_id"].clone();
    world.client(json!({"type": "conversation.item.create", "item":
        {"type": "function_call_output", "call_id": call, "output": "one"}}));
    world.client(json!({"type": "response.create"}));
    world.settle();
    let kinds: Vec<&str> = world.asked[1].messages.iter().map(kind).collect();
    let calls = kinds.iter().filter(|kind| **kind == "call").count();
    let outputs = kinds.iter().filter(|kind| **kind == "output").count();
    assert_eq!((calls, outputs), (2, 2), "{kinds:?}");
}

#[test]
fn a_caller_who_interrupts_stops_the_thinking_but_not_the_doing() {
    for (name, goes_on) in [("look_up", true), ("reason", false)] {
        let mut world = world();
        world.answers.extend([Answer::Call(name, "{}")]);
        ask(&mut world, "look it up");
        world.pass(300);
        assert_eq!(world.running.len(), 1);
        let attended = world.running[0]
            .1
            .history
            .iter()
            .map(kind)
            .collect::<Vec<_>>();
        let expected: &[&str] = if goes_on { &[] } else { &["system", "user"] };
        assert_eq!(attended, expected);
        world.speak(400);
        assert_eq!(
            world.last("response.done")["response"]["status"],
            "cancelled"
        );
        assert_eq!(world.running.len(), usize::from(goes_on), "{name}");
        if goes_on {
            world.returns("done after all");
        }
        world.silence(800);
        world.settle();
        let read = &world.asked.last().unwrap().messages;
        let told = if goes_on {
            "done after all"
        } else {
            "Error: The caller went on before this was done."
        };
        assert!(
            read.iter()
                .any(|m| matches!(m, LlmMessage::ToolOutput { output, .. } if output == told)),
            "{read:?}"
        );
    }
}

#[test]
fn a_model_that_calls_for_ever_is_made_to_answer() {
    let mut world = World::with(
        SessionKind::Realtime,
        Policy {
            tools: vec![tool("look_up", ToolRunner::Detached)],
            max_tool_rounds: 3,
            ..policy()
        },
    );
    world.update(json!({"tool_choice": "required"}));
    // the last one calls although it was told not to
    for _ in 0..4 {
        world.answers.push_back(Answer::Call("look_up", "{}"));
    }
    ask(&mut world, "look it up");
    for _ in 0..3 {
        world.pass(300);
        world.returns("found");
    }
    world.settle();
    let choices: Vec<&ToolChoice> = world.asked.iter().map(|asked| &asked.tool_choice).collect();
    assert_eq!(
        choices,
        [
            &ToolChoice::Required,
            &ToolChoice::Auto,
            &ToolChoice::Auto,
            &ToolChoice::None
        ]
    );
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_prepared_answer_calls_nothing_before_the_turn_is_over() {
    let mut world = world();
    world.transcripts.extend([Ok("What is the weather?")]);
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Sunny.")]);
    world.speak(400);
    world.silence(300);
    assert_eq!(world.asked.len(), 1);
    assert!(world.running.is_empty());
    world.silence(400);
    assert_eq!(world.running.len(), 1);
    world.returns("sun");
    world.settle();
    ladder::check(&world);
    assert_eq!(transcript(&world), "Sunny.");
}

#[test]
fn a_call_that_was_cut_off_is_not_made() {
    let mut world = world();
    world
        .answers
        .extend([Answer::CutCall("look_up", "{\"q\":")]);
    ask(&mut world, "look it up");
    world.settle();
    assert!(world.running.is_empty());
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "incomplete"
    );
}

#[test]
fn responses_beside_the_conversation_are_offered_what_they_ask_for() {
    let mut world = world();
    let names = |tools: &[Tool]| {
        let name = |tool: &Tool| match tool {
            Tool::Function { name, .. } => name.clone(),
            Tool::Mcp { server_label, .. } => server_label.clone(),
        };
        tools.iter().map(name).collect::<Vec<_>>()
    };
    world.client(
        json!({"type": "response.create", "response": {"conversation": "none", "input": []}}),
    );
    world.settle();
    assert!(world.asked[0].tools.is_empty());
    world.client(json!({"type": "response.create"}));
    world.settle();
    assert_eq!(
        names(&world.asked[1].tools),
        ["look_up", "second", "reason", "end_call"]
    );
    // a function of the client's own takes the place of the server's
    let own = json!({"type": "function", "name": "look_up", "description": "mine"});
    world.update(json!({"tools": [own]}));
    world.answers.push_back(Answer::Call("look_up", "{}"));
    world.client(json!({"type": "response.create"}));
    world.settle();
    assert!(world.running.is_empty());
    assert_eq!(
        world.last("response.done")["response"]["output"][0]["type"],
        "function_call"
    );
}

#[test]
fn functions_of_mcp_servers_are_offered_once_they_are_known() {
    let mut world = world();
    let server =
        json!({"type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp"});
    world.update(json!({"tools": [server]}));
    assert_eq!(world.servers.len(), 1);
    let source = ToolSource {
        label: "docs".to_owned(),
        tools: vec![tool("search", ToolRunner::Detached)],
    };
    world.input(Input::Tools(Box::new(source)));
    world
        .answers
        .extend([Answer::Call("search", "{}"), Answer::Say("Found.")]);
    ask(&mut world, "search");
    world.pass(300);
    assert_eq!(world.running[0].1.name, "search");
    world.returns("page 7");
    world.settle();
    assert_eq!(transcript(&world), "Found.");
    // without the server its functions are gone
    world.update(json!({"tools": []}));
    assert!(world.servers.is_empty());
    ask(&mut world, "search");
    world.settle();
    let last = world.asked.last().unwrap();
    assert!(
        !last
            .tools
            .iter()
            .any(|tool| matches!(tool, Tool::Function { name, .. } if name == "search"))
    );
}
