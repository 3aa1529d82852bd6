//! Tests with real models: they need `ANTIPHON_MODELS_DIR`, filled by `antiphon models pull`.

// every module says `cfg(test)`, because that is how the linter tells test code from the rest
#[cfg(test)]
mod clips;
#[cfg(feature = "llama")]
#[cfg(test)]
mod llm;
#[cfg(test)]
mod scheduler;
#[cfg(test)]
mod stt;
#[cfg(test)]
mod tts;
#[cfg(test)]
mod turn;
