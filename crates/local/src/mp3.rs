//! Samples to MP3, by LAME, where it is installed: it is loaded when it is first asked for, and never linked.
//! Called through `providers` by doors whose apps play a file a sentence.
//! It never keeps a context between two files, and never fails a call because it is absent: [`available`] says so.
//!
//! The functions are those of `lame.h` of LAME 3.100, the last of its versions (LGPL, loaded at run time).

#![expect(
    unsafe_code,
    reason = "LAME is a C library; its handles stay inside of this file"
)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use crate::LocalError;

/// Names of the library, the more exact first.
const LIBRARIES: [&str; 2] = ["libmp3lame.so.0", "libmp3lame.so"];
/// Bit rate, in kbit/s: speech at 24 kHz is transparent at this.
const KILOBITS: c_int = 64;
/// LAME's `MPEG_mode` of one channel.
const MONO: c_int = 3;
/// LAME's scale of effort, 0 (slow) to 9: 7 is its own advice for speed.
const EFFORT: c_int = 7;
/// What encoding may need beyond 1.25 times the samples, in bytes (lame.h).
const SLACK: usize = 7200;

type Handle = *mut c_void;
type Set = unsafe extern "C" fn(Handle, c_int) -> c_int;

/// The functions used here.
struct Lame {
    init: unsafe extern "C" fn() -> Handle,
    in_rate: Set,
    out_rate: Set,
    channels: Set,
    mode: Set,
    bit_rate: Set,
    effort: Set,
    tag: Set,
    start: unsafe extern "C" fn(Handle) -> c_int,
    encode: unsafe extern "C" fn(Handle, *const i16, *const i16, c_int, *mut u8, c_int) -> c_int,
    flush: unsafe extern "C" fn(Handle, *mut u8, c_int) -> c_int,
    tag_frame: unsafe extern "C" fn(Handle, *mut u8, usize) -> usize,
    close: unsafe extern "C" fn(Handle) -> c_int,
    /// The functions are valid for as long as it is loaded.
    _library: Library,
}

fn lame() -> Option<&'static Lame> {
    static LAME: OnceLock<Option<Lame>> = OnceLock::new();
    LAME.get_or_init(load).as_ref()
}

fn load() -> Option<Lame> {
    // SAFETY: the library's start-up code is that of a codec: it touches nothing of ours. The types are those of lame.h,
    // and the functions are not called once the library, which is kept beside them, is gone.
    unsafe {
        let mut found = LIBRARIES.into_iter().map(|name| Library::new(name));
        let library = found.find_map(Result::ok)?;
        let set = |name: &[u8]| library.get::<Set>(name).ok().map(|symbol| *symbol);
        Some(Lame {
            init: *library.get(b"lame_init\0").ok()?,
            in_rate: set(b"lame_set_in_samplerate\0")?,
            out_rate: set(b"lame_set_out_samplerate\0")?,
            channels: set(b"lame_set_num_channels\0")?,
            mode: set(b"lame_set_mode\0")?,
            bit_rate: set(b"lame_set_brate\0")?,
            effort: set(b"lame_set_quality\0")?,
            tag: set(b"lame_set_bWriteVbrTag\0")?,
            start: *library.get(b"lame_init_params\0").ok()?,
            encode: *library.get(b"lame_encode_buffer\0").ok()?,
            flush: *library.get(b"lame_encode_flush\0").ok()?,
            tag_frame: *library.get(b"lame_get_lametag_frame\0").ok()?,
            close: *library.get(b"lame_close\0").ok()?,
            _library: library,
        })
    }
}

/// Whether LAME is installed on this machine.
pub fn available() -> bool {
    lame().is_some()
}

/// A context of the library, closed on drop.
struct Context {
    lame: &'static Lame,
    handle: Handle,
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the handle came from lame_init and is closed once.
        unsafe {
            (self.lame.close)(self.handle);
        }
    }
}

/// A whole MP3 file of one channel: 64 kbit/s, with a head that tells players what to cut off at both ends.
///
/// # Errors
/// [`LocalError::Runtime`] when LAME is not installed or refuses; [`LocalError::BadInput`] for a rate that MP3 does not have.
pub fn encode(samples: &[i16], rate_hz: u32) -> Result<Vec<u8>, LocalError> {
    let refused = |tried: &str| LocalError::runtime(tried, "lame refused");
    let lame = lame().ok_or_else(|| {
        LocalError::runtime(
            "load libmp3lame",
            "it is not installed: apt-get install libmp3lame0",
        )
    })?;
    if !matches!(
        rate_hz,
        8_000 | 11_025 | 12_000 | 16_000 | 22_050 | 24_000 | 32_000 | 44_100 | 48_000
    ) {
        return Err(LocalError::BadInput(format!(
            "mp3 has no rate of {rate_hz} Hz"
        )));
    }
    // SAFETY: takes nothing; null is checked for.
    let handle = unsafe { (lame.init)() };
    if handle.is_null() {
        return Err(refused("begin an mp3 file"));
    }
    let context = Context { lame, handle };
    let rate = c_int::try_from(rate_hz).unwrap_or(c_int::MAX);
    for (set, value) in [
        (lame.in_rate, rate),
        (lame.out_rate, rate),
        (lame.channels, 1),
        (lame.mode, MONO),
        (lame.bit_rate, KILOBITS),
        (lame.effort, EFFORT),
        (lame.tag, 1),
    ] {
        // SAFETY: the handle is open; setters take a number and check it.
        if unsafe { set(context.handle, value) } < 0 {
            return Err(refused("set up an mp3 file"));
        }
    }
    // SAFETY: the handle is open and set up.
    if unsafe { (lame.start)(context.handle) } < 0 {
        return Err(refused("set up an mp3 file"));
    }
    let mut file = vec![0; samples.len() + samples.len() / 4 + 2 * SLACK];
    let count = c_int::try_from(samples.len())
        .map_err(|_| LocalError::BadInput("too many samples for one mp3 file".to_owned()))?;
    let size = file.len();
    let room = |from: usize| c_int::try_from(size - from).unwrap_or(c_int::MAX);
    // SAFETY: `samples` has `count` samples, one channel reads the left ones only, and `file` has room as lame.h asks.
    let written = unsafe {
        (lame.encode)(
            context.handle,
            samples.as_ptr(),
            ptr::null(),
            count,
            file.as_mut_ptr(),
            room(0),
        )
    };
    let written = usize::try_from(written).map_err(|_| refused("encode an mp3 file"))?;
    let left = room(written.min(size));
    // SAFETY: what is behind `written` bytes of `file` is free, and is at least as long as lame.h asks.
    let last = unsafe { (lame.flush)(context.handle, file.as_mut_ptr().add(written), left) };
    let last = usize::try_from(last).map_err(|_| refused("end an mp3 file"))?;
    file.truncate(written + last);
    let mut head = vec![0; 2880];
    // SAFETY: `head` has as many bytes as it says: the longest frame there is.
    let length = unsafe { (lame.tag_frame)(context.handle, head.as_mut_ptr(), head.len()) };
    if (1..=head.len()).contains(&length) && length <= file.len() {
        // written over the empty frame that encoding begins with
        file[..length].copy_from_slice(&head[..length]);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize) -> Vec<i16> {
        let sample = |n: usize| (8000.0 * (n as f32 * 0.115).sin()) as i16;
        (0..samples).map(sample).collect()
    }

    #[test]
    fn a_second_of_speech_is_an_mp3_file_of_some_kilobytes() {
        assert!(available(), "apt-get install libmp3lame0");
        let file = encode(&tone(24_000), 24_000).unwrap();
        assert!(
            (6_000..14_000).contains(&file.len()),
            "{} bytes",
            file.len()
        );
        // frame sync of MPEG-2 layer III (ISO/IEC 13818-3): eleven bits, version 10, layer 01
        assert_eq!(file[0], 0xFF);
        assert_eq!(file[1] & 0b1111_1110, 0b1111_0010);
        // the head that tells how much is to be cut off at both ends
        let head = &file[..200];
        assert!(
            head.windows(4)
                .any(|four| four == b"Info" || four == b"Xing")
        );
        assert!(head.windows(4).any(|four| four == b"LAME"));
    }

    #[test]
    fn silence_and_nothing_are_files_as_well() {
        for samples in [0, 1, 575, 100_000] {
            let file = encode(&vec![0; samples], 24_000).unwrap();
            assert!(!file.is_empty(), "{samples}");
        }
    }

    #[test]
    fn a_rate_that_mp3_does_not_have_is_refused() {
        let refused = encode(&tone(100), 24_001);
        assert!(
            matches!(refused, Err(LocalError::BadInput(_))),
            "{refused:?}"
        );
    }
}
