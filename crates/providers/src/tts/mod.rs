//! Text to speech, one folder per vendor.
//! Constructed by the catalog.
//! Never cuts text into pieces: the session does.

pub mod cartesia;
pub mod deepgram;
pub mod elevenlabs;
mod live;
mod mouth;
pub mod openai;

/// Pieces that may wait in the port's channel: a caller that blocks on the next piece does not read
/// events, and then no piece would ever be done.
const WAITING_PIECES: usize = 512;

/// Whether there is anything to pronounce.
fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// The speed to ask for, in hundredths; absent for the natural one, and for what is no number.
fn speed(asked: f32, slowest: f64, fastest: f64) -> Option<f64> {
    // not as it is: 1.2 would be written as 1.2000000477, which is more than 1.2
    let hundredths = (f64::from(asked) * 100.0).round();
    let speed = (hundredths / 100.0).clamp(slowest, fastest);
    (asked.is_finite() && (speed - 1.0).abs() > 0.001).then_some(speed)
}

/// The sample rate to ask for, in Hz: what the client will hear, if the vendor has it.
fn rate_hz(preferred: u32, offered: &[u32]) -> u32 {
    if offered.contains(&preferred) {
        preferred
    } else {
        24_000
    }
}
