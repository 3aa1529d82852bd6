//! Where the time of a turn went, as a table with bars.
//! `talk` prints it after the answer.
//! It never guesses: a stage that was not seen is shown as such.

use std::{
    io::{self, Write},
    time::Duration,
};

use engine::audio::SampleRate;

use super::conversation::Conversation;

/// Width of the bars in characters.
const WIDTH: f64 = 40.0;

/// Writes the stages of the last turn, counted from the end of speech.
pub(super) fn print(conversation: &Conversation, out: &mut impl Write) -> io::Result<()> {
    let stages = &conversation.stages;
    let Some(start) = stages.speech_end else {
        return writeln!(out, "no timings: the end of speech was not sent");
    };
    let rows = [
        ("turn decided", stages.turn_decided),
        ("transcript", stages.transcript),
        ("response created", stages.response),
        ("first text", stages.first_text),
        ("first audio", stages.first_audio),
        ("answer complete", stages.done),
    ];
    let after = |at: Option<Duration>| at.map(|at| milliseconds(at) - milliseconds(start));
    let longest = rows
        .iter()
        .filter_map(|(_, at)| after(*at))
        .max()
        .unwrap_or(1)
        .max(1);
    writeln!(out, "ms after the end of speech")?;
    for (name, at) in rows {
        match after(at) {
            Some(ms) => {
                let length = (ms.max(0) as f64 / longest as f64 * WIDTH).round() as usize;
                writeln!(out, "{name:<17} {ms:>7}  {}", "-".repeat(length))?;
            }
            None => writeln!(out, "{name:<17} {:>7}", "not seen")?,
        }
    }
    let seconds = SampleRate::HZ_24K.duration_ms(conversation.answer.len() as u64) as f64 / 1e3;
    writeln!(out, "answer lasts {seconds:.1} s")
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
