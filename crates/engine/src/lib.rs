//! The conversation as a value, and the arithmetic of sound and speech.
