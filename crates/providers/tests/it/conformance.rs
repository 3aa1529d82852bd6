//! What every provider must do, whoever it is. The ports' documentation is the contract.
//! Called by one test per provider and rule, each with a provider of its own.
//! Knows nothing of any provider beyond its port.

use std::sync::Arc;

use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage, SpeakOptions, SttOptions};
use providers::{
    ProviderError,
    ports::{Llm, LlmEvent, Piece, Stt, SttCommand, SttEvent, Tts, TtsEvent},
};

/// Longest piece of audio in one event, in ms: what is not yet handed out can still be cut.
const SLICE_MS: u64 = 100;

pub(crate) fn stt_options() -> SttOptions {
    SttOptions {
        session: "sess_conformance".to_owned(),
        judge_turn: true,
        ..SttOptions::default()
    }
}

pub(crate) fn speak_options(voice: &str) -> SpeakOptions {
    SpeakOptions {
        session: "sess_conformance".to_owned(),
        turn: 1,
        voice: voice.to_owned(),
        speed: 1.0,
        preferred_rate_hz: 24_000,
    }
}

pub(crate) fn ask(text: &str) -> LlmRequest {
    LlmRequest {
        session: "sess_conformance".to_owned(),
        messages: vec![
            LlmMessage::System("Answer briefly.".to_owned()),
            LlmMessage::User {
                text: text.to_owned(),
                images: Vec::new(),
            },
        ],
        ..LlmRequest::default()
    }
}

/// A pause is answered by text and judgement, the end by one transcript, and then nothing more.
/// Returns the transcript.
pub(crate) async fn stt_answers_pause_and_end(stt: &dyn Stt, audio: Arc<[i16]>) -> String {
    let mut stream = stt.open(stt_options()).await.unwrap();
    let half = audio.len() / 2;
    stream
        .commands
        .send(SttCommand::Audio(audio[..half].into()))
        .await
        .unwrap();
    stream.commands.send(SttCommand::Pause).await.unwrap();
    let first = stream.events.recv().await.unwrap();
    assert!(
        matches!(first, SttEvent::Partial { .. } | SttEvent::EndOfTurn { .. }),
        "{first:?}"
    );
    let second = stream.events.recv().await.unwrap();
    assert_ne!(
        std::mem::discriminant(&first),
        std::mem::discriminant(&second)
    );
    for event in [&first, &second] {
        if let SttEvent::EndOfTurn { probability } = event {
            assert!((0.0..=1.0).contains(probability));
        }
    }
    stream.commands.send(SttCommand::Resume).await.unwrap();
    stream
        .commands
        .send(SttCommand::Audio(audio[half..].into()))
        .await
        .unwrap();
    stream.commands.send(SttCommand::End).await.unwrap();
    let Some(SttEvent::Final { text, audio_ms, .. }) = stream.events.recv().await else {
        panic!("no transcript");
    };
    assert_eq!(audio_ms, audio.len() as u64 / 16);
    assert_eq!(stream.events.recv().await, None);
    text
}

/// As [`stt_answers_pause_and_end`], for those that cannot judge a turn, or transcribe while it is spoken.
pub(crate) async fn stt_answers_without_judging(stt: &dyn Stt, audio: Arc<[i16]>) -> String {
    let mut stream = stt.open(stt_options()).await.unwrap();
    let half = audio.len() / 2;
    let first = SttCommand::Audio(audio[..half].into());
    stream.commands.send(first).await.unwrap();
    stream.commands.send(SttCommand::Pause).await.unwrap();
    let told = stream.events.recv().await;
    assert!(matches!(told, Some(SttEvent::Partial { .. })), "{told:?}");
    stream.commands.send(SttCommand::Resume).await.unwrap();
    let second = SttCommand::Audio(audio[half..].into());
    stream.commands.send(second).await.unwrap();
    stream.commands.send(SttCommand::End).await.unwrap();
    let (text, audio_ms) = loop {
        match stream.events.recv().await {
            Some(SttEvent::Partial { .. }) => {}
            Some(SttEvent::Final { text, audio_ms, .. }) => break (text, audio_ms),
            other => panic!("no transcript but {other:?}"),
        }
    };
    assert_eq!(audio_ms, audio.len() as u64 / 16);
    assert_eq!(stream.events.recv().await, None);
    text
}

/// What was transcribed at a pause is the transcript when only silence follows.
pub(crate) async fn stt_keeps_what_it_said_at_the_pause(stt: &dyn Stt, audio: Arc<[i16]>) {
    let mut stream = stt
        .open(SttOptions {
            judge_turn: false,
            ..stt_options()
        })
        .await
        .unwrap();
    stream
        .commands
        .send(SttCommand::Audio(audio))
        .await
        .unwrap();
    stream.commands.send(SttCommand::Pause).await.unwrap();
    let Some(SttEvent::Partial { text: mut early }) = stream.events.recv().await else {
        panic!("no partial transcript");
    };
    stream
        .commands
        .send(SttCommand::Audio(vec![0; 1600].into()))
        .await
        .unwrap();
    stream.commands.send(SttCommand::End).await.unwrap();
    let text = loop {
        match stream.events.recv().await {
            // those that transcribe while it is spoken tell more than once
            Some(SttEvent::Partial { text }) => early = text,
            Some(SttEvent::Final { text, .. }) => break text,
            other => panic!("no transcript but {other:?}"),
        }
    };
    assert_eq!(text, early);
}

/// Nothing said is an empty transcript; an utterance given up has none.
pub(crate) async fn stt_tells_nothing_from_given_up(stt: &dyn Stt) {
    let mut nothing = stt.open(stt_options()).await.unwrap();
    nothing.commands.send(SttCommand::End).await.unwrap();
    let expected = SttEvent::Final {
        text: String::new(),
        audio_ms: 0,
        logprobs: Vec::new(),
    };
    assert_eq!(nothing.events.recv().await, Some(expected));

    let mut given_up = stt.open(stt_options()).await.unwrap();
    given_up
        .commands
        .send(SttCommand::Audio(vec![0; 1600].into()))
        .await
        .unwrap();
    drop(given_up.commands);
    assert_eq!(given_up.events.recv().await, None);
}

/// An answer read to its end.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    /// Id, name and arguments.
    pub(crate) calls: Vec<(String, String, String)>,
    pub(crate) end: Option<Result<(Finish, LlmUsage), ProviderError>>,
}

impl Answer {
    pub(crate) fn done(&self) -> (Finish, LlmUsage) {
        self.end
            .clone()
            .expect("the stream ended without a last event")
            .expect("the answer failed")
    }

    pub(crate) fn failure(&self) -> ProviderError {
        self.end
            .clone()
            .expect("the stream ended without a last event")
            .expect_err("no failure")
    }
}

/// Asks and reads; nothing may come behind the last event, and no arguments before a call.
pub(crate) async fn answer(llm: &dyn Llm, request: LlmRequest) -> Result<Answer, ProviderError> {
    let mut stream = llm.ask(request).await?;
    let mut answer = Answer::default();
    while let Some(event) = stream.events.recv().await {
        assert!(answer.end.is_none(), "{event:?} came behind the last event");
        match event {
            LlmEvent::Text(text) => answer.text += &text,
            LlmEvent::ToolCall { call_id, name } => {
                answer.calls.push((call_id, name, String::new()));
            }
            LlmEvent::ToolArguments(part) => {
                answer.calls.last_mut().expect("arguments without a call").2 += &part;
            }
            LlmEvent::Done { finish, usage } => answer.end = Some(Ok((finish, usage))),
            LlmEvent::Failed(error) => answer.end = Some(Err(error)),
        }
    }
    Ok(answer)
}

/// A question is answered by text, with its reason for the end, also beside another question.
pub(crate) async fn llm_answers(llm: &dyn Llm) {
    let (first, second) = futures_util::future::join(
        answer(llm, ask("Good morning!")),
        answer(llm, ask("What can you do?")),
    )
    .await;
    for answer in [first.unwrap(), second.unwrap()] {
        assert!(!answer.text.trim().is_empty());
        assert!(answer.calls.is_empty());
        assert_eq!(answer.done().0, Finish::Stop);
    }
}

/// The limit on tokens ends an answer and is told.
pub(crate) async fn llm_keeps_to_the_limit(llm: &dyn Llm) {
    llm_keeps_to_a_limit_of(llm, 3).await;
}

/// The same with another limit, for a vendor that takes none so small.
pub(crate) async fn llm_keeps_to_a_limit_of(llm: &dyn Llm, tokens: u32) {
    let request = LlmRequest {
        max_tokens: Some(tokens),
        ..ask("Tell me a long story.")
    };
    let (finish, usage) = answer(llm, request).await.unwrap().done();
    assert_eq!(finish, Finish::Length);
    assert!(usage.output_tokens <= tokens, "{usage:?}");
}

/// A reply read to its end.
pub(crate) struct Speech {
    /// Samples of each piece, by index.
    pub(crate) pieces: Vec<usize>,
    pub(crate) rate_hz: u32,
}

/// Speaks the texts as pieces; order, slices and the end are checked on the way.
pub(crate) async fn speech(tts: &dyn Tts, options: SpeakOptions, texts: &[&str]) -> Speech {
    let stream = tts.open(options).await.unwrap();
    let (pieces, mut events) = (stream.pieces, stream.events);
    let send = async move {
        for (index, text) in texts.iter().enumerate() {
            pieces
                .send(Piece {
                    index: index as u32,
                    text: (*text).to_owned(),
                })
                .await
                .unwrap();
        }
    };
    let read = async {
        let mut spoken = Speech {
            pieces: vec![0],
            rate_hz: 0,
        };
        while let Some(event) = events.recv().await {
            let current = spoken.pieces.len() - 1;
            match event {
                TtsEvent::Audio {
                    index,
                    rate_hz,
                    samples,
                } => {
                    assert_eq!(index as usize, current, "audio of another piece");
                    assert!(
                        spoken.rate_hz == 0 || spoken.rate_hz == rate_hz,
                        "the rate changed"
                    );
                    assert!(samples.len() as u64 * 1000 <= SLICE_MS * u64::from(rate_hz));
                    spoken.rate_hz = rate_hz;
                    spoken.pieces[current] += samples.len();
                }
                TtsEvent::PieceDone { index } => {
                    assert_eq!(index as usize, current, "another piece was done");
                    spoken.pieces.push(0);
                }
                // where somebody stands behind a provider that fails
                TtsEvent::Another(_) => {}
                TtsEvent::Failed(error) => panic!("{error}"),
            }
        }
        assert_eq!(spoken.pieces.pop(), Some(0), "audio behind the last piece");
        spoken
    };
    let (spoken, ()) = futures_util::future::join(read, send).await;
    assert_eq!(spoken.pieces.len(), texts.len());
    spoken
}

/// Pieces are spoken in order, also one without words; more words take longer.
pub(crate) async fn tts_speaks_in_order(tts: &dyn Tts) {
    let texts = ["Yes.", "", "This is a sentence with many more words in it."];
    let spoken = speech(tts, speak_options(&tts.voices()[0].name), &texts).await;
    let (short, long) = (spoken.pieces[0], spoken.pieces[2]);
    assert!(short > 0 && long > 2 * short, "{:?}", spoken.pieces);
}

/// Every voice speaks, known or not; twice the speed takes about half the time.
pub(crate) async fn tts_knows_voices_and_speed(tts: &dyn Tts) {
    let text = ["Good morning to everyone who listens."];
    for voice in ["marin", "alloy", "nobody-has-this-voice", ""] {
        assert!(
            speech(tts, speak_options(voice), &text).await.pieces[0] > 0,
            "{voice}"
        );
    }
    let natural = speech(tts, speak_options("alloy"), &text).await.pieces[0] as f64;
    let fast = SpeakOptions {
        speed: 2.0,
        ..speak_options("alloy")
    };
    let fast = speech(tts, fast, &text).await.pieces[0] as f64;
    assert!(
        (0.35..0.75).contains(&(fast / natural)),
        "{fast} of {natural} samples"
    );
}
