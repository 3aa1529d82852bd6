//! Bytes, samples and milliseconds; the codec in both directions; base64; levels; frames.

use base64::Engine as _;
use engine::audio::b64;
use engine::audio::level::{apply_gain, dbfs, peak, rms};
use engine::audio::pcm::{PcmReader, write_le};
use engine::audio::{Decoder, Encoder, Format, Framer, SampleRate};
use proptest::prelude::*;

use super::signal::{amplitude_at, sine};

const ALL: [Format; 6] = [
    Format::Pcm24k,
    Format::Pcmu,
    Format::Pcma,
    Format::Pcm8k,
    Format::Pcm16k,
    Format::Pcm48k,
];

#[test]
fn bytes_and_milliseconds_are_exact() {
    let per_ms: Vec<u32> = ALL.iter().map(|format| format.bytes_per_ms()).collect();
    assert_eq!(per_ms, [48, 8, 8, 16, 32, 96]);
    for format in ALL {
        assert_eq!(format.duration_ms(format.bytes(100)), 100);
        assert_eq!(format.duration_ms(format.bytes(100) - 1), 99);
    }
    assert_eq!(Format::Pcm24k.bytes(u64::MAX), u64::MAX);
}

#[test]
fn rates_are_bounded_and_rounded_down() {
    assert_eq!(SampleRate::new(999).unwrap_err().hz, 999);
    assert!(SampleRate::new(192_001).is_err());
    let piper = SampleRate::new(22_050).unwrap();
    assert_eq!(piper.samples(20), 441);
    assert_eq!(piper.duration_ms(440), 19);
    assert_eq!(piper.to_string(), "22050 Hz");
    assert_eq!(
        piper.duration_ms(u64::MAX),
        (u128::from(u64::MAX) * 1_000 / 22_050) as u64
    );
}

#[test]
fn an_odd_byte_count_does_not_shift_the_stream() {
    let mut reader = PcmReader::new();
    let mut samples = Vec::new();
    reader.push(&[0x34], &mut samples);
    assert!(reader.has_half_sample());
    reader.push(&[], &mut samples);
    reader.push(&[0x12, 0x78, 0x56, 0xCD], &mut samples);
    assert_eq!(samples, [0x1234, 0x5678]);
    reader.push(&[0xAB], &mut samples);
    assert_eq!(samples, [0x1234, 0x5678, i16::from_le_bytes([0xCD, 0xAB])]);
    reader.push(&[0x99], &mut samples);
    reader.reset();
    assert!(!reader.has_half_sample());
}

#[test]
fn a_tone_survives_the_way_from_client_to_models_and_back() {
    for format in ALL {
        let rate = format.rate();
        let tone = sine(1_000.0, rate.hz(), rate.hz() as usize / 2, 0.5);
        let mut bytes = Vec::new();
        let mut plain = Encoder::new(rate, format);
        plain.push(&tone, &mut bytes);
        plain.flush(&mut bytes);
        assert_eq!(bytes.len() as u64, format.bytes(500));

        let mut heard = Vec::new();
        let mut decoder = Decoder::new(format);
        assert_eq!(
            (decoder.format(), decoder.rate()),
            (format, SampleRate::HZ_16K)
        );
        for chunk in bytes.chunks(641) {
            decoder.push(chunk, &mut heard);
        }
        decoder.flush(&mut heard);
        assert_eq!(heard.len(), 8_000, "{format:?}");
        let level = amplitude_at(&heard[800..7_200], 1_000.0, 16_000);
        assert!((level - 0.5).abs() < 0.02, "{format:?}: {level}");

        let mut encoder = Encoder::new(SampleRate::HZ_16K, format);
        assert_eq!(
            (encoder.format(), encoder.source()),
            (format, SampleRate::HZ_16K)
        );
        let mut back = Vec::new();
        for chunk in heard.chunks(123) {
            encoder.push(chunk, &mut back);
        }
        encoder.flush(&mut back);
        assert_eq!(format.duration_ms(back.len() as u64), 500, "{format:?}");
    }
}

#[test]
fn base64_is_strict_and_reuses_its_buffer() {
    let mut bytes = Vec::with_capacity(64);
    let memory = bytes.as_ptr();
    b64::decode("AAEC", &mut bytes).unwrap();
    assert_eq!(bytes, [0, 1, 2]);
    b64::decode("", &mut bytes).unwrap();
    assert!(bytes.is_empty());
    assert_eq!(bytes.as_ptr(), memory);
    for wrong in [
        "AAE", "AA==A", "AA-_", "AAEC\n", " AAEC", "AB==", "=", "AAECA",
    ] {
        bytes.push(1);
        let error = b64::decode(wrong, &mut bytes).unwrap_err();
        assert!(bytes.is_empty(), "{wrong} left bytes behind");
        assert!(error.to_string().starts_with("invalid base64: "));
    }
    let mut text = String::from("\"");
    b64::encode(&[0, 1, 2, 3], &mut text);
    assert_eq!(text, "\"AAECAw==");
}

#[test]
fn levels_and_gain() {
    assert!(rms(&[]).abs() < f32::EPSILON);
    assert!((rms(&[i16::MIN, i16::MIN]) - 1.0).abs() < 1e-6);
    assert!((rms(&sine(440.0, 16_000, 16_000, 0.5)) - 0.5 / 2.0_f32.sqrt()).abs() < 1e-3);
    assert!((peak(&[-16_384, 3]) - 0.5).abs() < 1e-6);
    assert!((dbfs(0.1) + 20.0).abs() < 1e-4);
    assert!(dbfs(0.0).is_infinite() && dbfs(0.0) < 0.0);
    let mut samples = [100, -100, 30_000, -30_000];
    apply_gain(&mut samples, 2.0);
    assert_eq!(samples, [200, -200, i16::MAX, i16::MIN]);
}

/// Cuts `len` into chunks of the given sizes, repeated.
pub(super) fn chunks_of(len: usize, sizes: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for size in sizes.iter().cycle() {
        if start == len {
            break;
        }
        let end = (start + size).min(len);
        ranges.push(start..end);
        start = end;
    }
    ranges
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_chunks(
        samples in prop::collection::vec(any::<i16>(), 0..2_000),
        sizes in prop::collection::vec(1_usize..700, 1..8),
    ) {
        let mut framer = Framer::<256>::new();
        let mut frames = Vec::new();
        for chunk in chunks_of(samples.len(), &sizes) {
            framer.push(&samples[chunk], |frame| frames.extend_from_slice(frame));
        }
        let whole = samples.len() / 256 * 256;
        prop_assert_eq!(&frames[..], &samples[..whole]);
        prop_assert_eq!(framer.pending(), samples.len() - whole);
    }

    #[test]
    fn pcm_does_not_depend_on_chunks(
        bytes in prop::collection::vec(any::<u8>(), 0..500),
        sizes in prop::collection::vec(1_usize..9, 1..8),
    ) {
        let mut reader = PcmReader::new();
        let mut samples = Vec::new();
        for chunk in chunks_of(bytes.len(), &sizes) {
            reader.push(&bytes[chunk], &mut samples);
        }
        let mut back = Vec::new();
        write_le(&samples, &mut back);
        prop_assert_eq!(&back[..], &bytes[..bytes.len() / 2 * 2]);
        prop_assert_eq!(reader.has_half_sample(), bytes.len() % 2 == 1);
    }

    #[test]
    fn base64_of_anything_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut text = String::new();
        b64::encode(&bytes, &mut text);
        prop_assert_eq!(&text, &base64::engine::general_purpose::STANDARD.encode(&bytes));
        let mut back = vec![9];
        b64::decode(&text, &mut back).unwrap();
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn text_is_base64_where_another_library_says_so(
        text in prop_oneof![".{0,80}", "[A-Za-z0-9+/]{0,80}={0,3}", "([A-Za-z0-9+/]{4}){0,20}[A-Za-z0-9+/]{2}[A-Za-z0-9+/=]="],
    ) {
        let expected = base64::engine::general_purpose::STANDARD.decode(&text).ok();
        let mut bytes = Vec::new();
        let decoded = b64::decode(&text, &mut bytes);
        prop_assert_eq!(decoded.is_ok().then_some(&bytes), expected.as_ref());
        prop_assert!(decoded.is_ok() || bytes.is_empty());
    }
}
