//! Batching and request checks, without a model.

use super::*;

fn piece(job: usize, seconds: usize, window: Window, prefix: usize) -> Piece {
    Piece {
        job,
        samples: 0..seconds * 16_000,
        window,
        prefix: vec![1; prefix],
    }
}

#[test]
fn pieces_of_similar_length_share_a_batch_of_at_most_four() {
    let pieces = [
        piece(0, 20, Window::Clip, 2),
        piece(1, 4, Window::Clip, 2),
        piece(2, 4, Window::Clip, 2),
        piece(3, 5, Window::Clip, 2),
        piece(4, 4, Window::Clip, 2),
        piece(5, 4, Window::Clip, 2),
    ];
    assert_eq!(batches(&pieces), [vec![1, 2, 4, 5], vec![3], vec![0]]);
}

#[test]
fn pieces_with_other_windows_or_prefixes_run_apart() {
    let pieces = [
        piece(0, 4, Window::Clip, 2),
        piece(1, 4, Window::Full, 2),
        piece(2, 4, Window::Clip, 9),
        piece(3, 25, Window::Full, 2),
    ];
    assert_eq!(batches(&pieces), [vec![0], vec![2], vec![1, 3]]);
}

#[test]
fn a_language_other_than_english_is_refused() {
    let ask = |language: &str| {
        accept(&TranscribeRequest {
            language: Some(language.to_owned()),
            ..TranscribeRequest::default()
        })
    };
    assert!(ask("en-GB").is_ok());
    assert!(ask("English").is_ok());
    assert!(matches!(ask("de"), Err(LocalError::BadInput(_))));
}

#[test]
fn a_shared_run_stops_when_the_last_of_its_jobs_is_cancelled() {
    let (first, second) = (Cancel::new(), Cancel::new());
    let (all, _hooks) = all_cancelled(&[&first, &second]);
    first.cancel();
    assert!(!all.is_cancelled());
    second.cancel();
    assert!(all.is_cancelled());
}

#[test]
fn a_clip_gets_a_second_of_silence_and_an_even_number_of_frames() {
    assert_eq!(frames(16_000), 200);
    assert_eq!(frames(16_001), 202);
    assert_eq!(frames(29 * 16_000), 3000);
}
