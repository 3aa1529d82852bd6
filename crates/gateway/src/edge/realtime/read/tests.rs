use serde_json::json;

use super::*;
use crate::edge::connection;

#[tokio::test]
async fn a_long_append_is_handed_on_in_slices() {
    let (mut edge, line) = connection(1);
    let bytes: Vec<u8> = (0..SLICE_BYTES * 5 / 2).map(|n| (n % 251) as u8).collect();
    let sent = Bytes::from(bytes.clone());
    hand_on_in_slices(&line.inbound, sent, None).await.unwrap();
    drop(line);
    let mut heard = Vec::new();
    let mut appends = 0;
    while let Some(message) = edge.inbound.recv().await {
        let slice = match message {
            Inbound::Audio(slice) => {
                appends += 1;
                slice
            }
            Inbound::MoreAudio(slice) => slice,
            other => panic!("{other:?}"),
        };
        assert!(slice.len() <= SLICE_BYTES);
        heard.extend_from_slice(&slice);
    }
    assert_eq!((appends, heard), (1, bytes));
}

#[test]
fn an_append_is_audio_in_whatever_way_it_is_written() {
    let audio = "AAAA".repeat(SLICE_BYTES);
    let plain = json!({ "type": "input_audio_buffer.append", "audio": audio }).to_string();
    let escaped = plain.replace("input_audio", "input\\u005faudio");
    for text in [plain, escaped] {
        for shape in [Shape::Ga, Shape::Beta] {
            let heard = translate(&text, shape);
            assert!(matches!(heard, Heard::Audio(bytes, None) if bytes.len() == 3 * SLICE_BYTES));
        }
    }
}

#[test]
fn what_is_too_large_is_refused_in_both_shapes() {
    let text = json!({ "type": "response.cancel", "event_id": "e1", "x": "y".repeat(5 << 20) });
    for shape in [Shape::Ga, Shape::Beta] {
        let Heard::Refused(error) = translate(&text.to_string(), shape) else {
            panic!("5 MiB are too much");
        };
        assert_eq!(error.code.as_deref(), Some("event_too_large"));
        assert_eq!(error.event_id.as_deref(), Some("e1"));
    }
}

#[test]
fn the_id_of_an_append_travels_with_its_first_slice() {
    let audio = "AAAA".repeat(20);
    let append = json!({ "type": "input_audio_buffer.append", "event_id": "e7", "audio": audio });
    for shape in [Shape::Ga, Shape::Beta] {
        let Heard::Audio(bytes, id) = translate(&append.to_string(), shape) else {
            panic!("this is sound")
        };
        let Inbound::Event(event, None) = sound(bytes, id) else {
            panic!("an id has nowhere else to be")
        };
        assert_eq!(event.event_id.as_deref(), Some("e7"));
        assert!(matches!(event.action, ClientAction::AudioAppend(bytes) if bytes.len() == 60));
    }
}
