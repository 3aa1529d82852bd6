//! Voice names that clients of the Realtime and speech routes send by default.
//! Used by the providers to resolve a requested voice to one they have.
//! Never changes what is echoed to the client: that stays the requested name.

/// Names of the hosted voices (spec/realtime §1.3), those of the speech route after them.
pub const OPENAI_VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
    "fable", "nova", "onyx",
];
