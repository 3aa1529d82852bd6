//! Ears and voices in a row.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{SpeakOptions, SttOptions};
use providers::{
    Kind, ProviderError,
    guarded::{GuardedStt, GuardedTts, Member, Stage, Watch},
    ports::{Piece, Stt, SttCommand, SttEvent, SttStream, Tts, TtsEvent, TtsStream, VoiceInfo},
};
use tokio::{sync::mpsc, time::Instant};

use super::{Script, failure};
use crate::conformance::{speak_options, stt_options};

/// What ears do with an utterance.
#[derive(Clone, Copy)]
pub(super) enum Hears {
    /// Everything: the transcript tells how many samples and pauses there were.
    All,
    /// Nothing behind so many samples.
    BreaksAfter(usize),
    /// All of it, and then says nothing.
    Hangs,
    /// Nothing: it does not even take what is said.
    Deaf,
}

struct Ears(Arc<Script<Hears>>);

#[async_trait]
impl Stt for Ears {
    fn name(&self) -> &str {
        self.0.name
    }

    async fn open(&self, _options: SttOptions) -> Result<SttStream, ProviderError> {
        let (commands, mut inbox) = mpsc::channel(8);
        let (outbox, events) = mpsc::channel(8);
        let (hears, name) = (*self.0.next(), self.0.name);
        tokio::spawn(async move {
            if matches!(hears, Hears::Deaf) {
                return outbox.closed().await;
            }
            let (mut samples, mut pauses) = (0, 0);
            while let Some(command) = inbox.recv().await {
                match command {
                    SttCommand::Audio(audio) => samples += audio.len(),
                    SttCommand::Pause => {
                        pauses += 1;
                        let text = format!("{samples} so far");
                        outbox.send(SttEvent::Partial { text }).await.unwrap();
                    }
                    SttCommand::Resume => {}
                    SttCommand::End => break,
                }
                if matches!(hears, Hears::BreaksAfter(limit) if samples > limit) {
                    let error = failure(name, Kind::Unavailable);
                    return drop(outbox.send(SttEvent::Failed(error)).await);
                }
            }
            if matches!(hears, Hears::Hangs) {
                return outbox.closed().await;
            }
            let last = SttEvent::Final {
                text: format!("{name} heard {samples} and {pauses}"),
                audio_ms: samples as u64 / 16,
                logprobs: Vec::new(),
            };
            let _ = outbox.send(last).await;
        });
        Ok(SttStream { commands, events })
    }
}

fn ears(scripts: &[&Arc<Script<Hears>>]) -> GuardedStt {
    watched_ears(scripts, Watch::default())
}

pub(super) fn watched_ears(scripts: &[&Arc<Script<Hears>>], watch: Watch) -> GuardedStt {
    let members = scripts
        .iter()
        .map(|script| {
            let ears: Arc<dyn Stt> = Arc::new(Ears(Arc::clone(script)));
            Arc::new(Member::new(script.name, Stage::Stt, ears, watch.clone()))
        })
        .collect();
    GuardedStt::new(members, watch)
}

pub(super) async fn transcript(stt: &GuardedStt) -> SttEvent {
    let mut stream = stt.open(stt_options()).await.unwrap();
    for _ in 0..10 {
        let audio = SttCommand::Audio(vec![0; 100].into());
        stream.commands.send(audio).await.unwrap();
    }
    stream.commands.send(SttCommand::Pause).await.unwrap();
    stream.commands.send(SttCommand::End).await.unwrap();
    loop {
        match stream.events.recv().await.unwrap() {
            SttEvent::Partial { .. } | SttEvent::EndOfTurn { .. } => {}
            last => break last,
        }
    }
}

fn text(event: &SttEvent) -> &str {
    match event {
        SttEvent::Final { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_hears_the_utterance_from_its_beginning() {
    let second = Script::new("second", vec![Hears::All]);
    for broken in [Hears::BreaksAfter(0), Hears::BreaksAfter(500), Hears::Hangs] {
        let first = Script::new("first", vec![broken]);
        let begun = Instant::now();
        let heard = transcript(&ears(&[&first, &second])).await;
        assert!(text(&heard).starts_with("second heard 1000"), "{heard:?}");
        assert!(begun.elapsed() <= Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_still_holds_is_told_to_whoever_takes_over() {
    let first = Script::new("first", vec![Hears::BreaksAfter(50)]);
    let second = Script::new("second", vec![Hears::All]);
    let stt = ears(&[&first, &second]);
    let mut stream = stt.open(stt_options()).await.unwrap();
    // the pause is sent before the first ears have said that they broke
    for command in [SttCommand::Audio(vec![0; 100].into()), SttCommand::Pause] {
        stream.commands.send(command).await.unwrap();
    }
    let partial = stream.events.recv().await.unwrap();
    assert_eq!(
        partial,
        SttEvent::Partial {
            text: "100 so far".to_owned()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn ears_that_take_nothing_are_replaced_while_the_caller_speaks() {
    let first = Script::new("first", vec![Hears::Deaf]);
    let second = Script::new("second", vec![Hears::All]);
    let stt = ears(&[&first, &second]);
    let mut stream = stt.open(stt_options()).await.unwrap();
    // more than a minute of frames
    for _ in 0..3100 {
        let audio = SttCommand::Audio(vec![0; 320].into());
        stream.commands.send(audio).await.unwrap();
    }
    stream.commands.send(SttCommand::Pause).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_mins(1), stream.events.recv()).await;
    let text = "992000 so far".to_owned();
    assert_eq!(heard.unwrap(), Some(SttEvent::Partial { text }));
}

#[tokio::test(start_paused = true)]
async fn ears_without_anyone_behind_them_have_ten_seconds() {
    let only = Script::new("only", vec![Hears::Hangs]);
    let begun = Instant::now();
    let failed = transcript(&ears(&[&only])).await;
    assert!(matches!(failed, SttEvent::Failed(error) if error.kind == Kind::Timeout));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

/// What a voice does with a reply: 100 ms of sound per word, until so many words are said.
#[derive(Clone, Copy)]
pub(super) enum Speaks {
    All,
    BreaksAfter(usize),
    HangsAfter(usize),
    /// All of it, with so much time before every word.
    Slowly(Duration),
}

struct Voice(Arc<Script<Speaks>>, mpsc::Sender<String>);

#[async_trait]
impl Tts for Voice {
    fn name(&self) -> &str {
        self.0.name
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        Vec::new()
    }

    async fn open(&self, _options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let (pieces, mut inbox) = mpsc::channel::<Piece>(8);
        let (outbox, events) = mpsc::channel(8);
        let (speaks, name, said) = (*self.0.next(), self.0.name, self.1.clone());
        tokio::spawn(async move {
            let mut words = 0;
            while let Some(Piece { index, text }) = inbox.recv().await {
                for word in text.split_whitespace() {
                    match speaks {
                        Speaks::BreaksAfter(limit) if words == limit => {
                            let error = failure(name, Kind::Unavailable);
                            return drop(outbox.send(TtsEvent::Failed(error)).await);
                        }
                        Speaks::HangsAfter(limit) if words == limit => {
                            return outbox.closed().await;
                        }
                        Speaks::Slowly(each) => {
                            tokio::select! {
                                () = outbox.closed() => return,
                                () = tokio::time::sleep(each) => {}
                            }
                        }
                        _ => {}
                    }
                    words += 1;
                    said.send(word.to_owned()).await.unwrap();
                    // 65 ms a character and the space: the pace that is assumed of every voice
                    let samples = vec![0; (word.chars().count() + 1) * 65 * 8].into();
                    let audio = TtsEvent::Audio {
                        index,
                        rate_hz: 8000,
                        samples,
                    };
                    if outbox.send(audio).await.is_err() {
                        return;
                    }
                }
                if outbox.send(TtsEvent::PieceDone { index }).await.is_err() {
                    return;
                }
            }
        });
        Ok(TtsStream { pieces, events })
    }
}

/// Voices in a row, and what they say.
fn voices(scripts: &[&Arc<Script<Speaks>>]) -> (GuardedTts, mpsc::Receiver<String>) {
    watched_voices(scripts, Watch::default())
}

pub(super) fn watched_voices(
    scripts: &[&Arc<Script<Speaks>>],
    watch: Watch,
) -> (GuardedTts, mpsc::Receiver<String>) {
    let (said, words) = mpsc::channel(1000);
    let members = scripts
        .iter()
        .map(|script| {
            let voice: Arc<dyn Tts> = Arc::new(Voice(Arc::clone(script), said.clone()));
            Arc::new(Member::new(script.name, Stage::Tts, voice, watch.clone()))
        })
        .collect();
    (GuardedTts::new(members, watch), words)
}

/// Every word that was said, and the pieces that were done.
async fn speech(scripts: &[&Arc<Script<Speaks>>]) -> (String, Vec<u32>, Option<ProviderError>) {
    let (tts, mut words) = voices(scripts);
    let mut stream = tts.open(speak_options("alloy")).await.unwrap();
    for (index, text) in ["one two three four five.", "six seven."]
        .into_iter()
        .enumerate()
    {
        let piece = Piece {
            index: index as u32,
            text: text.to_owned(),
        };
        stream.pieces.send(piece).await.unwrap();
    }
    drop(stream.pieces);
    let (mut done, mut failed) = (Vec::new(), None);
    while let Some(event) = stream.events.recv().await {
        match event {
            TtsEvent::Audio { index, .. } => assert_eq!(index as usize, done.len()),
            TtsEvent::PieceDone { index } => done.push(index),
            TtsEvent::Another(voice) => {
                assert_eq!((&*voice.from, &*voice.to), ("first", "second"));
            }
            TtsEvent::Failed(error) => failed = Some(error),
        }
    }
    drop(tts);
    let mut heard = Vec::new();
    while let Some(word) = words.recv().await {
        heard.push(word);
    }
    (heard.join(" "), done, failed)
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_spoken_on_from_the_first_word_that_was_not_said() {
    let second = Script::new("second", vec![Speaks::All]);
    for words in 0..7 {
        for broken in [Speaks::BreaksAfter(words), Speaks::HangsAfter(words)] {
            let first = Script::new("first", vec![broken]);
            let (heard, done, failed) = speech(&[&first, &second]).await;
            assert_eq!(
                heard, "one two three four five. six seven.",
                "after {words}"
            );
            assert_eq!((done, failed), (vec![0, 1], None));
        }
    }
}

/// Also where the first is not even asked, having failed too often.
#[tokio::test(start_paused = true)]
async fn a_reply_that_another_voice_speaks_says_so() {
    let first = Script::new("first", vec![Speaks::BreaksAfter(0)]);
    let second = Script::new("second", vec![Speaks::All]);
    let third = Script::new("third", vec![Speaks::All]);
    let (tts, _words) = voices(&[&first, &second, &third]);
    let mut last = 0;
    for _ in 0..10 {
        let mut stream = tts.open(speak_options("alloy")).await.unwrap();
        let piece = Piece {
            index: 0,
            text: "one two".to_owned(),
        };
        stream.pieces.send(piece).await.unwrap();
        drop(stream.pieces);
        let mut told = Vec::new();
        while let Some(event) = stream.events.recv().await {
            if let TtsEvent::Another(voice) = event {
                told.push((voice.from, voice.to, voice.reason));
            }
        }
        let [(from, to, reason)] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!((&**from, &**to), ("first", "second"));
        assert_eq!(reason, "provider_unavailable");
        last = first.asked();
    }
    assert!(last < 10, "the first is left alone at last");
}

#[tokio::test(start_paused = true)]
async fn a_voice_without_anyone_behind_it_fails_behind_what_it_said() {
    let only = Script::new("only", vec![Speaks::BreaksAfter(5)]);
    let (heard, done, failed) = speech(&[&only]).await;
    assert_eq!(heard, "one two three four five.");
    assert_eq!(done, [0]);
    assert_eq!(failed.unwrap().kind, Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_falls_behind_real_time_is_taken_over_at_the_first_unsaid_word() {
    let second = Script::new("second", vec![Speaks::All]);
    // a word lasts about a third of a second
    for (each_ms, taken_over) in [(400, false), (1_500, true), (3_000, true), (4_000, true)] {
        let slow = Speaks::Slowly(Duration::from_millis(each_ms));
        let first = Script::new("first", vec![slow]);
        let before = second.asked();
        let begun = Instant::now();
        let (heard, done, failed) = speech(&[&first, &second]).await;
        assert_eq!(heard, "one two three four five. six seven.", "{each_ms} ms");
        assert_eq!((done, failed), (vec![0, 1], None));
        assert_eq!(second.asked() > before, taken_over, "{each_ms} ms");
        // so long until its first word, so long behind, and what was heard meanwhile
        let limit = Duration::from_millis(each_ms + 4_500 + 2_000);
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    }
    let only = Script::new("only", vec![Speaks::Slowly(Duration::from_secs(4))]);
    let (heard, _, failed) = speech(&[&only]).await;
    assert_eq!(heard, "one two three");
    assert_eq!(failed.unwrap().kind, Kind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_takes_its_time_is_no_fault_of_the_voice() {
    let first = Script::new("first", vec![Speaks::All]);
    let second = Script::new("second", vec![Speaks::All]);
    let (tts, _words) = voices(&[&first, &second]);
    let mut stream = tts.open(speak_options("alloy")).await.unwrap();
    for (index, text) in ["word ".repeat(200), "and an end".to_owned()]
        .into_iter()
        .enumerate()
    {
        let index = index as u32;
        stream.pieces.send(Piece { index, text }).await.unwrap();
    }
    drop(stream.pieces);
    // everything on the way is full long before that
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(stream.events.recv().await.is_some());
    }
    let mut last = None;
    while let Some(event) = stream.events.recv().await {
        last = Some(event);
    }
    assert_eq!(last, Some(TtsEvent::PieceDone { index: 1 }));
    assert_eq!(second.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_no_voice_keeps_up_with_ends_and_is_no_fault_of_the_voice() {
    let first = Script::new("first", vec![Speaks::HangsAfter(0)]);
    let second = Script::new("second", vec![Speaks::All]);
    let (tts, _words) = voices(&[&first, &second]);
    for _ in 0..6 {
        let mut stream = tts.open(speak_options("alloy")).await.unwrap();
        // whoever sends is never left waiting: it reads no events meanwhile
        for index in 0.. {
            let text = "word".to_owned();
            let sent = stream.pieces.send(Piece { index, text });
            let sent = tokio::time::timeout(Duration::from_secs(1), sent).await;
            if sent.expect("no piece is taken any more").is_err() {
                break;
            }
            assert!(index < 10_000, "pieces are taken without end");
        }
        let mut last = None;
        while let Some(event) = stream.events.recv().await {
            last = Some(event);
        }
        assert!(
            matches!(&last, Some(TtsEvent::Failed(error)) if error.kind == Kind::Overloaded),
            "{last:?}"
        );
    }
    assert_eq!((first.asked(), second.asked()), (6, 0));
}
