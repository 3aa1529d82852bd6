//! Every 16-bit sample and every byte, against tables built from the text of G.711.

use engine::audio::g711::{
    ALAW_SILENCE, Law, ULAW_SILENCE, decode_alaw, decode_ulaw, encode_alaw, encode_ulaw,
};

/// Decision values and doubled quantised values of the positive half, as the recommendation lists them:
/// eight segments of sixteen intervals. `widths` are the interval widths per segment, `first` is
/// the width of the very first interval when it differs.
fn tables(widths: [i32; 8], first: i32) -> (Vec<i32>, Vec<i32>) {
    let mut decisions = vec![0];
    for (segment, &width) in widths.iter().enumerate() {
        for interval in 0..16 {
            let step = if segment == 0 && interval == 0 {
                first
            } else {
                width
            };
            decisions.push(decisions[decisions.len() - 1] + step);
        }
    }
    let outputs = decisions.windows(2).map(|pair| pair[0] + pair[1]).collect();
    (decisions, outputs)
}

/// The interval a magnitude falls into; the last one takes everything above.
fn interval(decisions: &[i32], magnitude: i32) -> u8 {
    (decisions.partition_point(|&decision| decision <= magnitude) - 1).min(127) as u8
}

fn magnitude(sample: i16, shift: u32) -> i32 {
    i32::from(if sample < 0 { !sample } else { sample }) >> shift
}

#[test]
fn every_sample_has_the_ulaw_byte_of_the_recommendation() {
    // table 2a: overload at 8159, widths 2 to 256, the first interval is 0 to 1
    let (decisions, _) = tables([2, 4, 8, 16, 32, 64, 128, 256], 1);
    assert_eq!(decisions[128], 8159);
    for sample in i16::MIN..=i16::MAX {
        let number = interval(&decisions, magnitude(sample, 2));
        let sign = if sample < 0 { 0x00 } else { 0x80 };
        assert_eq!(
            encode_ulaw(sample),
            (0x7F - number) | sign,
            "sample {sample}"
        );
    }
}

#[test]
fn every_sample_has_the_alaw_byte_of_the_recommendation() {
    // table 1a in units of half its smallest interval: widths 1 (twice) to 64, overload at 2048
    let (decisions, _) = tables([1, 1, 2, 4, 8, 16, 32, 64], 1);
    assert_eq!(decisions[128], 2048);
    for sample in i16::MIN..=i16::MAX {
        let number = interval(&decisions, magnitude(sample, 4));
        let sign = if sample < 0 { 0x00 } else { 0x80 };
        assert_eq!(
            encode_alaw(sample),
            (number | sign) ^ 0x55,
            "sample {sample}"
        );
    }
}

#[test]
fn every_byte_decodes_to_the_middle_of_its_interval() {
    let (_, ulaw) = tables([2, 4, 8, 16, 32, 64, 128, 256], 1);
    let (_, alaw) = tables([1, 1, 2, 4, 8, 16, 32, 64], 1);
    for number in 0..128_u8 {
        // the first µ-law interval is symmetric around zero and decodes to zero
        let value = if number == 0 {
            0
        } else {
            ulaw[usize::from(number)] * 2
        };
        assert_eq!(i32::from(decode_ulaw(0xFF - number)), value);
        assert_eq!(i32::from(decode_ulaw(0x7F - number)), -value);
        let value = alaw[usize::from(number)] * 8;
        assert_eq!(i32::from(decode_alaw((number | 0x80) ^ 0x55)), value);
        assert_eq!(i32::from(decode_alaw(number ^ 0x55)), -value);
    }
}

#[test]
fn a_byte_survives_decoding_and_encoding() {
    for byte in 0..=u8::MAX {
        assert_eq!(encode_alaw(decode_alaw(byte)), byte);
        // 0x7F is negative zero, which 16-bit samples do not have
        let expected = if byte == 0x7F { 0xFF } else { byte };
        assert_eq!(encode_ulaw(decode_ulaw(byte)), expected);
    }
}

#[test]
fn silence_is_silent_and_slices_match_single_samples() {
    assert_eq!(decode_ulaw(ULAW_SILENCE), 0);
    assert_eq!(decode_alaw(ALAW_SILENCE), 8);
    for law in [Law::Mu, Law::A] {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        let mut samples = vec![7];
        law.decode(&bytes, &mut samples);
        assert_eq!(samples[0], 7, "decoding appends");
        let singles: Vec<i16> = bytes.iter().map(|&byte| law.sample(byte)).collect();
        assert_eq!(samples[1..], singles);
        let mut back = Vec::new();
        law.encode(&[0; 3], &mut back);
        assert_eq!(back, [law.silence(); 3]);
    }
}
