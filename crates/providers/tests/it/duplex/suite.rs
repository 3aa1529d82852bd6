//! What every speech-to-speech vendor must do: the port's documentation is the contract.

use bytes::Bytes;
use engine::ask::{
    DuplexCommand, DuplexItem, DuplexReply, DuplexUsage, Finish, LlmMessage, LlmUsage,
};
use providers::ports::DuplexEvent;

use super::{Call, Ended, GEMINI, OPENAI, Subject, options, pcm, user};
use crate::fakes::upstream::{Answer, End, answer};

macro_rules! for_both {
    ($($test:ident),* $(,)?) => {
        mod openai {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::OPENAI).await;
            })*
        }
        mod gemini {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::GEMINI).await;
            })*
        }
    };
}

for_both!(
    audio_passes_untouched_in_both_directions,
    a_conversation_has_turns,
    what_is_written_only_is_not_spoken,
    words_are_answered_like_speech,
    a_function_is_called_and_its_output_answered,
    an_output_may_come_with_words,
    a_function_without_output_does_not_hang,
    a_cancelled_answer_is_over,
    an_answer_cancelled_before_it_began_is_over,
    a_history_is_told_and_gone_on_from,
    speech_at_the_end_of_a_history_is_answered,
    an_utterance_without_a_sound_has_no_words,
    what_is_told_before_the_connection_waits_for_it,
    hanging_up_closes_the_connection,
);

async fn audio_passes_untouched_in_both_directions(subject: &Subject) {
    let mut call = Call::begin(subject, &[answer("one two three")]).await;
    let sound = pcm("how do you do");
    // cuts do not respect samples
    for cut in sound.chunks(333) {
        let cut = Bytes::copy_from_slice(cut);
        call.tell(DuplexCommand::Audio(cut)).await;
    }
    call.tell(DuplexCommand::Commit(7)).await;
    call.ask(1).await;
    let heard = call.rest(1).await;
    assert_eq!(heard.audio, pcm("one two three"));
    assert!(heard.cuts.iter().all(|cut| cut % 2 == 0), "half a sample");
    assert_eq!(call.fake.world.with(|state| state.heard.clone()), sound);
    assert_eq!(heard.transcripts, [(7, Ok("how do you do".to_owned()))]);
    call.fake.is_content();
}

async fn a_conversation_has_turns(subject: &Subject) {
    let script = [
        answer("hello there"),
        answer("quite well"),
        answer("goodbye"),
    ];
    let mut call = Call::begin(subject, &script).await;
    for (number, (words, expected)) in [
        ("good morning", "hello there"),
        ("how are you", "quite well"),
        ("see you", "goodbye"),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u64 + 1;
        let heard = call.turn(number, words).await;
        assert_eq!(heard.text.trim(), expected);
        assert_eq!(heard.transcripts, [(number, Ok(words.to_owned()))]);
        let usage = DuplexUsage {
            text: LlmUsage {
                input_tokens: 119,
                cached_tokens: 60,
                output_tokens: 30,
            },
            audio: LlmUsage {
                input_tokens: 13,
                cached_tokens: 4,
                output_tokens: 91,
            },
        };
        assert_eq!(heard.ended, Some(Ended::Done(Finish::Stop, usage)));
    }
    let said = [
        "user: good morning",
        "assistant: hello there",
        "user: how are you",
        "assistant: quite well",
        "user: see you",
        "assistant: goodbye",
    ];
    assert_eq!(call.fake.conversation(), said);
    assert_eq!(call.fake.handshakes(), 1);
    call.fake.is_content();
}

async fn what_is_written_only_is_not_spoken(subject: &Subject) {
    let mut call = Call::begin(subject, &[answer("in writing")]).await;
    call.speak(1, &pcm("write to me")).await;
    let wanted = DuplexReply {
        text_only: true,
        ..DuplexReply::default()
    };
    call.ask_for(1, wanted).await;
    let heard = call.rest(1).await;
    assert_eq!((heard.text.trim(), heard.audio.len()), ("in writing", 0));
    call.fake.is_content();
}

async fn words_are_answered_like_speech(subject: &Subject) {
    let mut call = Call::begin(subject, &[answer("a line"), answer("a verse")]).await;
    call.add(user("read me a line")).await;
    call.ask(1).await;
    assert_eq!(call.rest(1).await.audio, pcm("a line"));
    call.add(LlmMessage::System("Now in verse.".to_owned()))
        .await;
    call.add(user("and another")).await;
    call.ask(2).await;
    assert_eq!(call.rest(2).await.text.trim(), "a verse");
    call.fake.is_content();
}

async fn a_function_is_called_and_its_output_answered(subject: &Subject) {
    let calls = Answer {
        words: "let me see",
        call: Some(("weather", r#"{"city":"Riga"}"#)),
        then: "it rains",
        ..Answer::default()
    };
    let mut call = Call::begin(subject, &[calls, answer("bye")]).await;
    let heard = call.turn(1, "how is the weather").await;
    assert_eq!(heard.text.trim(), "let me see");
    let (name, call_id, arguments) = heard.calls[0].clone();
    assert_eq!(
        (name.as_str(), arguments.as_str()),
        ("weather", r#"{"city":"Riga"}"#)
    );
    assert_eq!(heard.finish(), Finish::Stop);
    let output = "rain".to_owned();
    call.add(LlmMessage::ToolOutput { call_id, output }).await;
    call.ask(2).await;
    let heard = call.rest(2).await;
    assert_eq!(
        (heard.text.trim(), heard.audio),
        ("it rains", pcm("it rains"))
    );
    assert_eq!(call.turn(3, "thank you").await.text.trim(), "bye");
    call.fake.is_content();
}

async fn an_output_may_come_with_words(subject: &Subject) {
    let calls = Answer {
        words: "let me see",
        call: Some(("weather", "{}")),
        then: "it rains",
        ..Answer::default()
    };
    let mut call = Call::begin(subject, &[calls, answer("as you wish")]).await;
    let call_id = call.turn(1, "how is the weather").await.calls[0].1.clone();
    let output = "rain".to_owned();
    call.add(LlmMessage::ToolOutput { call_id, output }).await;
    call.add(user("in one word please")).await;
    call.ask(2).await;
    assert_eq!(call.rest(2).await.text.trim(), "as you wish");
    let told = call.fake.conversation();
    assert!(told.iter().any(|line| line.contains("rain")), "{told:?}");
    assert_eq!(call.turn(3, "thank you").await.text.trim(), "as you wish");
    call.fake.is_content();
}

async fn a_function_without_output_does_not_hang(subject: &Subject) {
    let calls = Answer {
        words: "let me see",
        call: Some(("weather", "{}")),
        then: "it rains",
        ..Answer::default()
    };
    let mut call = Call::begin(subject, &[calls, answer("never mind")]).await;
    let heard = call.turn(1, "how is the weather").await;
    assert_eq!(heard.calls.len(), 1);
    // the caller goes on before the function has returned
    assert_eq!(call.turn(2, "forget it").await.text.trim(), "never mind");
    let late = LlmMessage::ToolOutput {
        call_id: heard.calls[0].1.clone(),
        output: "rain".to_owned(),
    };
    call.add(late).await;
    assert_eq!(
        call.turn(3, "anything else").await.text.trim(),
        "never mind"
    );
    let told = call.fake.conversation();
    assert!(told.iter().any(|line| line.contains("rain")), "{told:?}");
    call.fake.is_content();
}

async fn a_cancelled_answer_is_over(subject: &Subject) {
    let endless = Answer {
        words: "on and on",
        end: End::Silence,
        ..Answer::default()
    };
    let mut call = Call::begin(subject, &[endless, answer("yes")]).await;
    call.speak(1, &pcm("tell me everything")).await;
    call.ask(1).await;
    call.until(1, "on and on").await;
    call.tell(DuplexCommand::Cancel(1)).await;
    let heard = DuplexCommand::Heard {
        reply: 1,
        audio_ms: 250,
        text: "on and".to_owned(),
    };
    call.tell(heard).await;
    call.speak(2, &pcm("stop please")).await;
    call.ask(2).await;
    let void = call.rest(1).await;
    assert_eq!((void.finish(), void.audio.len()), (Finish::Stop, 0));
    let heard = call.rest(2).await;
    assert_eq!((heard.text.trim(), heard.audio), ("yes", pcm("yes")));
    call.fake.is_content();
}

async fn an_answer_cancelled_before_it_began_is_over(subject: &Subject) {
    let mut call = Call::begin(subject, &[answer("too late"), answer("in time")]).await;
    call.speak(1, &pcm("one")).await;
    call.ask(1).await;
    call.tell(DuplexCommand::Cancel(1)).await;
    call.speak(2, &pcm("two")).await;
    call.ask(2).await;
    let void = call.rest(1).await;
    assert_eq!((void.text.as_str(), void.audio.len()), ("", 0));
    assert_eq!(call.rest(2).await.text.trim(), "in time");
    assert_eq!(call.turn(3, "three").await.text.trim(), "in time");
    call.fake.is_content();
}

fn history() -> Vec<DuplexItem> {
    let messages = [
        user("good morning"),
        LlmMessage::Assistant("hello".to_owned()),
        LlmMessage::ToolCall {
            call_id: "call_old".to_owned(),
            name: "weather".to_owned(),
            arguments: "{}".to_owned(),
        },
        LlmMessage::ToolOutput {
            call_id: "call_old".to_owned(),
            output: "rain".to_owned(),
        },
    ];
    let mut items: Vec<DuplexItem> = messages.into_iter().map(DuplexItem::Message).collect();
    let mumbled = DuplexItem::Speech(pcm("is it nice").into());
    items.insert(2, mumbled);
    items.push(DuplexItem::Message(LlmMessage::Assistant(
        "it rains".to_owned(),
    )));
    items
}

/// Without what the two vendors are told in different ways.
fn spoken(conversation: Vec<String>) -> Vec<String> {
    let spoken = |line: &String| line.starts_with("user") || line.starts_with("assistant");
    conversation.into_iter().filter(spoken).collect()
}

async fn a_history_is_told_and_gone_on_from(subject: &Subject) {
    let script = [answer("one"), answer("two"), answer("three")];
    let mut call = Call::with(subject, &script, options(), history()).await;
    // two turns are known to have been: the third is answered
    assert_eq!(call.turn(1, "and tomorrow").await.text.trim(), "three");
    let said = [
        "user: good morning",
        "assistant: hello",
        "user: is it nice",
        "assistant: it rains",
        "user: and tomorrow",
        "assistant: three",
    ];
    let conversation = call.fake.conversation();
    assert_eq!(spoken(conversation.clone()), said);
    let output = conversation
        .iter()
        .any(|line| line.contains("rain") && line.contains("weather"))
        || conversation.contains(&"output: rain".to_owned());
    assert!(output, "{conversation:?}");
    call.fake.is_content();
}

async fn speech_at_the_end_of_a_history_is_answered(subject: &Subject) {
    let mut history = history();
    history.push(DuplexItem::Speech(pcm("are you there").into()));
    let script = [answer("one"), answer("two"), answer("yes I am")];
    let mut call = Call::with(subject, &script, options(), history).await;
    call.ask(9).await;
    assert_eq!(call.rest(9).await.text.trim(), "yes I am");
    // whose words belong to nobody any more
    let heard = call.turn(10, "good").await;
    assert_eq!(heard.transcripts, [(10, Ok("good".to_owned()))]);
    assert!(
        call.fake
            .conversation()
            .contains(&"user: are you there".to_owned())
    );
    call.fake.is_content();
}

async fn an_utterance_without_a_sound_has_no_words(subject: &Subject) {
    let mut call = Call::begin(subject, &[answer("go ahead")]).await;
    call.tell(DuplexCommand::Commit(1)).await;
    let nothing = DuplexEvent::Transcript {
        utterance: 1,
        text: String::new(),
    };
    assert_eq!(call.event().await, nothing);
    // and one that is too short to be committed is made long enough
    call.speak(2, &pcm("hi")[..960]).await;
    call.ask(2).await;
    let heard = call.rest(2).await;
    assert_eq!(heard.text.trim(), "go ahead");
    assert_eq!(heard.transcripts, [(2, Ok("hi".to_owned()))]);
    call.fake.is_content();
}

async fn what_is_told_before_the_connection_waits_for_it(subject: &Subject) {
    let fake = subject.fake(&[answer("yes")]).await;
    let stream = subject.of(&fake).open(options(), Vec::new()).await.unwrap();
    let mut call = Call { fake, stream };
    let sound = pcm("can you hear me already");
    call.speak(1, &sound).await;
    call.ask(1).await;
    assert_eq!(call.event().await, DuplexEvent::Ready);
    assert_eq!(call.rest(1).await.text.trim(), "yes");
    assert_eq!(call.fake.world.with(|state| state.heard.clone()), sound);
    // what had to wait is not told frame by frame
    let audio = |message: &serde_json::Value| {
        message["type"] == "input_audio_buffer.append"
            || message["realtimeInput"]["audio"].is_object()
    };
    let messages = call
        .fake
        .messages()
        .iter()
        .filter(|message| audio(message))
        .count();
    assert!(messages < sound.len() / 960, "{messages}");
}

async fn hanging_up_closes_the_connection(subject: &Subject) {
    let call = Call::begin(subject, &[]).await;
    drop(call.stream);
    call.fake.until(|state| state.hung_up == 1).await;
}
