use providers::guarded::Watch;
use providers::{Catalog, CatalogConfig};

use super::*;

fn scripted() -> Pipeline {
    let config = CatalogConfig {
        default: "scripted".to_owned(),
        ..CatalogConfig::default()
    };
    Catalog::open(config, Watch::default())
        .unwrap()
        .default_pipeline()
}

fn wiring() -> Wiring {
    let metrics = Metrics::default();
    let outbound = providers::tools::Outbound::new(&[]).unwrap();
    let parts = Parts {
        pipeline: scripted(),
        toolbox: Toolbox::new(outbound, HashMap::new(), Vec::new()),
        tab: Tab::unlimited(),
        meter: Meter::new(engine::meter::PriceTable::default(), metrics.clone()),
        clock: Clock::default(),
        lifecycle: Lifecycle::default(),
        metrics,
    };
    Wiring::new("sess_1".into(), parts)
}

fn frame() -> SttCommand {
    SttCommand::Audio([0; 320].into())
}

#[tokio::test]
async fn an_utterance_leaves_nothing_behind_once_it_is_transcribed() {
    let mut wiring = wiring();
    for (id, prompt) in [(1, None), (2, Some("fail stt".to_owned()))] {
        let options = SttOptions {
            prompt,
            ..SttOptions::default()
        };
        wiring.open_stt(id, options);
        wiring.stt(id, frame());
        wiring.stt(id, SttCommand::End);
        let last = wiring.news().await;
        assert!(matches!(
            last,
            Input::Stt(_, SttNews::Final { .. } | SttNews::Failed(_))
        ));
        wiring.note(&last);
        assert!(wiring.stt.is_empty(), "{last:?}");
    }
}

#[tokio::test]
async fn a_stream_that_takes_nothing_fails_even_when_no_news_fit() {
    let mut wiring = wiring();
    while wiring.sender().try_send(Input::Tick).is_ok() {}
    wiring.open_stt(1, SttOptions::default());
    // this test never awaits, so the stream's task takes nothing
    for _ in 0..STT_COMMANDS + 7 {
        wiring.stt(1, frame());
    }
    assert_eq!(wiring.take_dropped_frames(), 7);
    wiring.stt(1, SttCommand::End);
    wiring.stt(1, SttCommand::End);
    let failure = wiring.next_failure();
    assert!(matches!(failure, Some(Input::Stt(1, SttNews::Failed(_)))));
    assert!(wiring.next_failure().is_none() && wiring.stt.is_empty());

    let options = SpeakOptions {
        session: "sess_1".to_owned(),
        turn: 1,
        voice: "alloy".to_owned(),
        speed: 1.0,
        preferred_rate_hz: 24_000,
    };
    wiring.open_tts(5, options);
    for index in 0..=PIECES + 3 {
        wiring.speak(5, index as u32, "word".to_owned());
    }
    let failure = wiring.next_failure();
    assert!(matches!(failure, Some(Input::Tts(5, TtsNews::Failed(_)))));
    assert!(wiring.next_failure().is_none());
}
