//! Scratch memory of long runs, given back to the operating system.
//! Voice workers call it when nobody waits: ONNX Runtime frees its tensors, the C allocator keeps them.
//! It never touches memory in use.
#![expect(unsafe_code, reason = "malloc_trim is a function of the C library")]

/// Speech beyond which a run's scratch memory is worth giving back, in ms; the memory of shorter
/// pieces is kept because the next one needs it at once.
const WORTH_TRIMMING_MS: u64 = 4_000;

/// Gives freed memory back after a run that produced `spoken_ms` of speech.
pub(crate) fn give_back_after(spoken_ms: u64) {
    if spoken_ms > WORTH_TRIMMING_MS {
        trim();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    use std::ffi::c_int;

    unsafe extern "C" {
        /// glibc: releases free pages at the top and inside of all heaps (`malloc_trim(3)`).
        fn malloc_trim(pad: usize) -> c_int;
    }
    // SAFETY: thread-safe, takes no pointer, touches free memory only.
    unsafe {
        malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
