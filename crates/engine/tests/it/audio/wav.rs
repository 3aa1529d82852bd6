//! WAV against an independent writer and reader, streamed files, and damaged ones.

use std::io::Cursor;

use engine::audio::SampleRate;
use engine::audio::wav::{WavError, read, streaming_header, write};
use proptest::prelude::*;

use super::signal::{noise, sine};

const MAX: usize = 1_000_000;

fn with_hound(spec: hound::WavSpec, samples: &[i16]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for &sample in samples {
        for _ in 0..spec.channels {
            match (spec.sample_format, spec.bits_per_sample) {
                (hound::SampleFormat::Float, _) => {
                    writer.write_sample(f32::from(sample) / 32_768.0).unwrap();
                }
                (_, 8) => writer.write_sample((sample >> 8) as i8).unwrap(),
                (_, 16) => writer.write_sample(sample).unwrap(),
                (_, bits) => writer
                    .write_sample(i32::from(sample) << (bits - 16))
                    .unwrap(),
            }
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

#[test]
fn every_width_and_channel_count_reads_as_mono() {
    let samples = sine(440.0, 44_100, 5_000, 0.8);
    for (bits, sample_format) in [
        (8, hound::SampleFormat::Int),
        (16, hound::SampleFormat::Int),
        (24, hound::SampleFormat::Int),
        (32, hound::SampleFormat::Int),
        (32, hound::SampleFormat::Float),
    ] {
        for channels in [1, 2, 6] {
            let spec = hound::WavSpec {
                channels,
                sample_rate: 44_100,
                bits_per_sample: bits,
                sample_format,
            };
            let wav = read(&with_hound(spec, &samples), MAX).unwrap();
            assert_eq!(wav.rate.hz(), 44_100);
            assert_eq!(wav.samples.len(), samples.len());
            let tolerance = if bits == 8 { 256 } else { 1 };
            for (ours, theirs) in wav.samples.iter().zip(&samples) {
                let error = (i32::from(*ours) - i32::from(*theirs)).abs();
                assert!(
                    error <= tolerance,
                    "{bits} bits, {channels} channels: off by {error}"
                );
            }
        }
    }
}

#[test]
fn an_independent_reader_reads_what_we_write() {
    let samples = noise(4_321, 1.0, 2);
    let file = write(&samples, SampleRate::HZ_24K);
    let mut reader = hound::WavReader::new(Cursor::new(&file)).unwrap();
    assert_eq!(reader.spec().sample_rate, 24_000);
    assert_eq!(
        (reader.spec().channels, reader.spec().bits_per_sample),
        (1, 16)
    );
    let back: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(back, samples);
    assert_eq!(read(&file, MAX).unwrap().samples, samples);
}

#[test]
fn a_streamed_file_ends_where_it_ends() {
    for size in [u32::MAX, 0, 1_000_000] {
        let mut file = streaming_header(SampleRate::HZ_16K).to_vec();
        assert_eq!(file[4..8], [0xFF; 4]);
        file[40..44].copy_from_slice(&size.to_le_bytes());
        file.extend_from_slice(&[1, 0, 2, 0, 3]);
        let wav = read(&file, MAX).unwrap();
        assert_eq!((wav.samples, wav.rate.hz()), (vec![1, 2], 16_000));
    }
}

#[test]
fn g711_files_and_unknown_chunks_are_understood() {
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    file.extend_from_slice(b"LIST\x03\0\0\0abc\0");
    file.extend_from_slice(b"fmt \x12\0\0\0\x07\0\x01\0\x40\x1F\0\0\x40\x1F\0\0\x01\0\x08\0\0\0");
    file.extend_from_slice(b"fact\x04\0\0\0\0\0\0\0data\x02\0\0\0\xFF\x80trailing");
    let wav = read(&file, MAX).unwrap();
    assert_eq!((wav.samples, wav.rate.hz()), (vec![0, 32_124], 8_000));
}

#[test]
fn damage_has_a_name() {
    let good = write(&[1, 2, 3], SampleRate::HZ_16K);
    let broken = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read(&file, MAX).unwrap_err()
    };
    assert_eq!(read(b"", MAX), Err(WavError::NotWav));
    assert_eq!(broken(8, b"AVI "), WavError::NotWav);
    assert_eq!(broken(12, b"junk"), WavError::MissingChunk("fmt"));
    assert_eq!(broken(36, b"junk"), WavError::MissingChunk("data"));
    assert_eq!(broken(16, &[4]), WavError::DamagedFormat);
    assert_eq!(
        broken(20, &[85]),
        WavError::Unsupported { code: 85, bits: 16 }
    );
    assert_eq!(broken(22, &[0]), WavError::DamagedFormat);
    assert_eq!(broken(32, &[0]), WavError::DamagedFormat);
    assert!(matches!(broken(24, &[1, 0, 0, 0]), WavError::Rate(_)));
    assert_eq!(read(&good, 2), Err(WavError::TooLong { max_samples: 2 }));
    assert_eq!(read(&good, 3).unwrap().samples, [1, 2, 3]);
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, 50);
    }

    #[test]
    fn a_good_file_with_holes_never_panics_and_stays_bounded(
        holes in prop::collection::vec((0_usize..120, any::<u8>()), 1..12),
        cut in 0_usize..140,
    ) {
        let mut file = write(&noise(40, 1.0, 4), SampleRate::HZ_24K);
        for (at, byte) in holes {
            file[at] = byte;
        }
        file.truncate(cut);
        if let Ok(wav) = read(&file, 30) {
            prop_assert!(wav.samples.len() <= 30);
        }
    }
}
