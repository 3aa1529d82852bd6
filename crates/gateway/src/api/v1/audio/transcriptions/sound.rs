//! An uploaded file to the samples that recognisers take.
//! Used by `create`, on a blocking thread.
//! Never guesses: a container it cannot read is named in the refusal.

use std::sync::Arc;

use engine::audio::{Resampler, SampleRate, wav};

use crate::http::ApiError;

/// What an uploaded file must be.
const ADVICE: &str = "Supported formats: ['wav']. Convert it first, for example with 'ffmpeg -i FILE -ar 16000 -ac 1 file.wav'.";

/// Containers that SDK users send, by their first bytes; the second number is where those stand.
const CONTAINERS: [(&[u8], usize, &str); 10] = [
    (b"ID3", 0, "mp3"),
    (b"\xFF\xFB", 0, "mp3"),
    (b"\xFF\xF3", 0, "mp3"),
    (b"\xFF\xF2", 0, "mp3"),
    (b"OggS", 0, "ogg"),
    (b"fLaC", 0, "flac"),
    (b"ftyp", 4, "mp4 or m4a"),
    (b"\x1A\x45\xDF\xA3", 0, "webm"),
    (b"\xFF\xF1", 0, "aac"),
    (b"#!AMR", 0, "amr"),
];

/// Decodes `file` to 16 kHz mono.
///
/// # Errors
/// 400 `unsupported_format` or `invalid_audio` at `file`.
pub(super) fn decode(file: &[u8]) -> Result<Arc<[i16]>, ApiError> {
    // the file's size is bounded already and a sample takes at least a byte
    let wav = wav::read(file, file.len()).map_err(|error| match container(file) {
        Some(name) => refused(
            "unsupported_format",
            format!("Invalid file format: this is {name}. {ADVICE}"),
        ),
        None => refused(
            "invalid_audio",
            format!("The audio could not be read: {error}. {ADVICE}"),
        ),
    })?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::new(wav.rate, SampleRate::HZ_16K);
    resampler.push(&wav.samples, &mut samples);
    resampler.flush(&mut samples);
    if samples.is_empty() {
        return Err(refused(
            "invalid_audio",
            "The audio file holds no sound.".to_owned(),
        ));
    }
    Ok(samples.into())
}

fn container(file: &[u8]) -> Option<&'static str> {
    CONTAINERS
        .iter()
        .find(|(magic, at, _)| file.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(_, _, name)| *name)
}

fn refused(code: &str, message: String) -> ApiError {
    ApiError {
        param: Some("file".to_owned()),
        ..ApiError::invalid(code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rate_becomes_sixteen_kilohertz() {
        let file = wav::write(&[0; 4800], SampleRate::HZ_48K);
        assert_eq!(decode(&file).unwrap().len(), 1600);
    }

    #[test]
    fn other_containers_are_named() {
        for (file, name) in [
            (&b"ID3\x04rest"[..], "mp3"),
            (&b"\0\0\0\x20ftypM4A "[..], "mp4 or m4a"),
            (&b"fLaC\0"[..], "flac"),
        ] {
            let error = decode(file).unwrap_err();
            assert_eq!(error.code.as_deref(), Some("unsupported_format"));
            assert!(
                error.message.contains(name) && error.message.contains("'wav'"),
                "{}",
                error.message
            );
        }
        for file in [&b""[..], b"RIFF", b"hello, is this audio?"] {
            assert_eq!(
                decode(file).unwrap_err().code.as_deref(),
                Some("invalid_audio")
            );
        }
        let empty = wav::write(&[], SampleRate::HZ_16K);
        assert_eq!(
            decode(&empty).unwrap_err().code.as_deref(),
            Some("invalid_audio")
        );
    }
}
