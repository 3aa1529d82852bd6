//! Any bytes as sound in every form we take it, and the text that becomes sound.
//! Run by `cargo fuzz run audio`; see fuzz/README.md.
//! Never judges quality: it looks for panics, lost samples and unbounded output.

#![no_main]

use engine::audio::{
    Decoder, Encoder, EndpointConfig, Format, Resampler, SampleRate, SpeechDetector, Vad, b64, wav,
};
use engine::speech::{CutRules, Cutter, Heard, heard_bytes, spoken};
use libfuzzer_sys::fuzz_target;

const FORMATS: [Format; 6] = [
    Format::Pcm24k,
    Format::Pcmu,
    Format::Pcma,
    Format::Pcm8k,
    Format::Pcm16k,
    Format::Pcm48k,
];

/// Rates that occur: the wire's, the models', files', and two with few common factors.
const RATES: [u32; 8] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 11_025, 7_919];

fuzz_target!(|data: &[u8]| {
    let Some((&[what, choice, step], rest)) = data.split_first_chunk::<3>() else {
        return;
    };
    // an input is cut into chunks of this many bytes, odd ones among them
    let step = usize::from(step) + 1;
    match what % 7 {
        0 => decode(rest, choice, step),
        1 => encode(rest, choice, step),
        2 => resample(rest, choice, step),
        3 => read_wav(rest),
        4 => base64(rest),
        5 => detect(rest, choice, step),
        _ => cut(rest, choice, step),
    }
});

fn format(choice: u8) -> Format {
    FORMATS[usize::from(choice) % FORMATS.len()]
}

fn rate(choice: u8) -> SampleRate {
    let hz = RATES[usize::from(choice) % RATES.len()];
    SampleRate::new(hz).expect("a known rate is in range")
}

fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// How many samples come out when `count` go in.
fn expected(count: usize, from: SampleRate, to: SampleRate) -> usize {
    let scaled = count as u64 * u64::from(to.hz());
    scaled.div_ceil(u64::from(from.hz())) as usize
}

fn decode(bytes: &[u8], choice: u8, step: usize) {
    let (format, target) = (format(choice), rate(choice >> 4));
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    let mut decoder = Decoder::to_rate(format, target);
    decoder.push(bytes, &mut whole);
    decoder.flush(&mut whole);
    let mut decoder = Decoder::to_rate(format, target);
    bytes
        .chunks(step)
        .for_each(|chunk| decoder.push(chunk, &mut parts));
    decoder.flush(&mut parts);
    assert_eq!(
        whole, parts,
        "chunks change the sound: {format:?} to {target}"
    );
    let count = bytes.len() / format.bytes_per_sample() as usize;
    assert_eq!(whole.len(), expected(count, format.rate(), target));
}

fn encode(bytes: &[u8], choice: u8, step: usize) {
    let (format, source, samples) = (format(choice), rate(choice >> 4), samples(bytes));
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    let mut encoder = Encoder::new(source, format);
    encoder.push(&samples, &mut whole);
    encoder.flush(&mut whole);
    let mut encoder = Encoder::new(source, format);
    samples
        .chunks(step)
        .for_each(|chunk| encoder.push(chunk, &mut parts));
    encoder.flush(&mut parts);
    assert_eq!(
        whole, parts,
        "chunks change the sound: {source} to {format:?}"
    );
    let count = expected(samples.len(), source, format.rate());
    assert_eq!(whole.len(), count * format.bytes_per_sample() as usize);
}

fn resample(bytes: &[u8], choice: u8, step: usize) {
    let (from, to, samples) = (rate(choice), rate(choice >> 4), samples(bytes));
    let mut resampler = Resampler::new(from, to);
    let mut out = Vec::new();
    samples
        .chunks(step)
        .for_each(|chunk| resampler.push(chunk, &mut out));
    resampler.flush(&mut out);
    assert_eq!(
        out.len(),
        expected(samples.len(), from, to),
        "{from} to {to}"
    );
}

fn read_wav(bytes: &[u8]) {
    let limit = 1 << 16;
    let Ok(sound) = wav::read(bytes, limit) else {
        return;
    };
    assert!(sound.samples.len() <= limit);
    let again = wav::read(&wav::write(&sound.samples, sound.rate), limit);
    assert_eq!(again.expect("what we write can be read"), sound);
}

fn base64(bytes: &[u8]) {
    let (mut decoded, mut text) = (Vec::new(), String::new());
    if let Ok(given) = std::str::from_utf8(bytes)
        && b64::decode(given, &mut decoded).is_ok()
    {
        b64::encode(&decoded, &mut text);
        assert_eq!(text, given, "two texts for the same bytes");
    }
    text.clear();
    b64::encode(bytes, &mut text);
    b64::decode(&text, &mut decoded).expect("what we write can be read");
    assert_eq!(decoded, bytes);
}

fn detect(bytes: &[u8], choice: u8, step: usize) {
    let vad = if choice & 1 == 0 {
        Vad::earshot()
    } else {
        Vad::energy(0.02)
    };
    let samples = samples(bytes);
    let mut detector = SpeechDetector::new(vad, EndpointConfig::default());
    let mut events = Vec::new();
    samples
        .chunks(step)
        .for_each(|chunk| detector.push(chunk, &mut events));
    let position_ms = detector.endpointer().position_ms();
    assert!(position_ms <= SampleRate::HZ_16K.duration_ms(samples.len() as u64) + 16);
    // every event takes at least one frame
    assert!(events.len() as u64 <= position_ms / 16 + 1, "{events:?}");
}

fn cut(bytes: &[u8], choice: u8, step: usize) {
    let text = String::from_utf8_lossy(bytes);
    let mut cutter = Cutter::new(CutRules::default());
    let mut pieces = Vec::new();
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        let (token, after) = rest.split_at(rest.ceil_char_boundary(step.min(rest.len())));
        cutter.push(token, &mut pieces);
        rest = after;
    }
    cutter.finish(&mut pieces);
    let mut at = 0;
    for (index, piece) in pieces.iter().enumerate() {
        assert_eq!((piece.index, piece.range.start), (index, at), "{pieces:?}");
        at = piece.range.end;
        assert_eq!(&text[piece.range.clone()], piece.text, "{pieces:?}");
        let _ = spoken(&piece.text);
    }
    assert_eq!(at, text.len(), "text got lost: {pieces:?}");
    let heard: Vec<Heard<'_>> = pieces
        .iter()
        .map(|piece| Heard {
            text: &piece.text,
            duration_ms: u64::from(choice) * 10,
        })
        .collect();
    let bytes = heard_bytes(&heard, u64::from(choice) * 17);
    assert!(text.is_char_boundary(bytes), "{bytes} in {text:?}");
}
