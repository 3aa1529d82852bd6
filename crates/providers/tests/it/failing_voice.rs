//! A voice whose model is damaged: another one speaks. Needs the models of `real_models`.

use std::os::unix::fs::symlink;
use std::path::Path;

use local::{LocalConfig, LocalModels, Part, VoiceModel};
use providers::local::LocalTts;
use providers::ports::{Piece, Tts as _, TtsEvent};

use crate::conformance::speak_options;
use crate::real_models::models_dir;

/// A folder with the models of this machine, in which Kokoro's is damaged.
fn with_damaged_kokoro(folder: &Path) {
    for model in std::fs::read_dir(models_dir()).unwrap() {
        let model = model.unwrap();
        if model.file_name() != "kokoro" {
            symlink(model.path(), folder.join(model.file_name())).unwrap();
        }
    }
    let (whole, damaged) = (models_dir().join("kokoro"), folder.join("kokoro"));
    std::fs::create_dir(&damaged).unwrap();
    for part in ["voices", "vocab.json"] {
        symlink(whole.join(part), damaged.join(part)).unwrap();
    }
    std::fs::write(damaged.join("model.onnx"), "this is no model").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn piper_speaks_what_kokoro_cannot() {
    let folder = tempfile::tempdir().unwrap();
    with_damaged_kokoro(folder.path());
    let config = LocalConfig {
        parts: vec![Part::Tts],
        default_voice: "af_heart".to_owned(),
        ..LocalConfig::new(folder.path())
    };
    let models = LocalModels::open(&config).unwrap();
    assert_eq!(models.resolve_voice("").unwrap().model, VoiceModel::Kokoro);
    let tts = LocalTts::new(models.clone());
    // of two replies, and of every piece in them
    for _ in 0..2 {
        let mut stream = tts.open(speak_options("")).await.unwrap();
        for (index, text) in ["Good day.", "…", "How are you?", "Goodbye."]
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
        let (mut done, mut heard, mut told) = (Vec::new(), [0; 4], Vec::new());
        while let Some(event) = stream.events.recv().await {
            match event {
                TtsEvent::Audio { index, samples, .. } => heard[index as usize] += samples.len(),
                TtsEvent::PieceDone { index } => done.push(index),
                TtsEvent::Another(voice) => {
                    assert_eq!(heard, [0; 4], "it is told before it is heard");
                    told.push(voice);
                }
                TtsEvent::Failed(error) => panic!("{error}"),
            }
        }
        let [voice] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(voice.from, "af_heart");
        let instead = models.resolve_voice(&voice.to).unwrap();
        assert_eq!(instead.model, VoiceModel::Piper);
        assert!(!voice.reason.is_empty());
        assert_eq!(done, [0, 1, 2, 3]);
        assert!(heard[0] > 0 && heard[2] > 0 && heard[3] > 0, "{heard:?}");
        assert_eq!(heard[1], 0);
    }
    // a voice of Piper has nobody behind it, and needs nobody
    assert!(tts.open(speak_options("joe")).await.is_ok());
}
