//! Text to phonemes through `libespeak-ng.so.1`, which is loaded when first needed.
//! The voices call it; it serves one caller at a time because the library keeps global state.
//! It is never linked and never shipped: eSpeak NG is GPL-3.0-or-later, and the person who runs the
//! server installs it (`apt-get install libespeak-ng1 espeak-ng-data`).
#![expect(
    unsafe_code,
    reason = "four C functions of libespeak-ng are called through dlopen"
)]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr,
    sync::{Mutex, PoisonError},
};

use crate::{
    LocalError,
    speakable::{self, Clause},
};

const LIBRARY: &str = "libespeak-ng.so.1";

// values of espeak-ng's speak_lib.h
const AUDIO_OUTPUT_SYNCHRONOUS: c_int = 2;
const INITIALIZE_DONT_EXIT: c_int = 0x8000;
const CHARS_UTF8: c_int = 1;
const PHONEMES_IPA: c_int = 0x02;

type Initialize = unsafe extern "C" fn(c_int, c_int, *const c_char, c_int) -> c_int;
type SetVoiceByName = unsafe extern "C" fn(*const c_char) -> c_int;
type TextToPhonemes = unsafe extern "C" fn(*mut *const c_void, c_int, c_int) -> *const c_char;
type Info = unsafe extern "C" fn(*mut *const c_char) -> *const c_char;

struct Espeak {
    set_voice_by_name: SetVoiceByName,
    text_to_phonemes: TextToPhonemes,
    version: String,
    language: String,
    _library: libloading::Library,
}

/// Loaded once and kept: the library cannot be initialised twice in one process.
static ESPEAK: Mutex<Option<Espeak>> = Mutex::new(None);

/// The phonemes of `text`, one string of IPA per sentence with its punctuation put back in.
/// `language` is an eSpeak voice name such as `en-us`. Text without words gives no sentence.
///
/// Errors: [`LocalError::NoPhonemes`] when the library or its data is not installed or does not
/// know the language.
pub fn sentences(text: &str, language: &str) -> Result<Vec<String>, LocalError> {
    let clauses = speakable::clauses(text);
    if clauses.is_empty() {
        return Ok(Vec::new());
    }
    with_espeak(|espeak| {
        espeak.speak_language(language)?;
        let mut sentences = vec![String::new()];
        for clause in &clauses {
            let ipa = espeak.clause(clause)?;
            if let Some(sentence) = sentences.last_mut() {
                if !sentence.is_empty() {
                    sentence.push(' ');
                }
                sentence.push_str(&ipa);
            }
            if clause.ends_sentence() {
                sentences.push(String::new());
            }
        }
        sentences.retain(|sentence| !sentence.is_empty());
        Ok(sentences)
    })
}

/// Version of the installed library, such as `1.51`; for `antiphon doctor` and start-up checks.
///
/// Errors: [`LocalError::NoPhonemes`] when it is not installed.
pub fn version() -> Result<String, LocalError> {
    with_espeak(|espeak| Ok(espeak.version.clone()))
}

fn with_espeak<T>(
    work: impl FnOnce(&mut Espeak) -> Result<T, LocalError>,
) -> Result<T, LocalError> {
    let mut slot = ESPEAK.lock().unwrap_or_else(PoisonError::into_inner);
    match slot.as_mut() {
        Some(espeak) => work(espeak),
        None => work(slot.insert(Espeak::load(LIBRARY)?)),
    }
}

fn no_phonemes(reason: impl Into<String>) -> LocalError {
    LocalError::NoPhonemes {
        reason: reason.into(),
    }
}

impl Espeak {
    fn load(name: &str) -> Result<Self, LocalError> {
        // SAFETY: the library's load-time code only sets up its own globals; the signatures are
        // those of speak_lib.h, and the library stays loaded as long as the pointers, which are
        // kept beside it.
        let (library, initialize, set_voice_by_name, text_to_phonemes, info) = unsafe {
            let library = libloading::Library::new(name)
                .map_err(|_| no_phonemes(format!("{name} is not installed")))?;
            let missing = |_| no_phonemes(format!("{name} is not eSpeak NG"));
            let initialize = *library
                .get::<Initialize>(b"espeak_Initialize\0")
                .map_err(missing)?;
            let set_voice_by_name = *library
                .get::<SetVoiceByName>(b"espeak_SetVoiceByName\0")
                .map_err(missing)?;
            let text_to_phonemes = *library
                .get::<TextToPhonemes>(b"espeak_TextToPhonemes\0")
                .map_err(missing)?;
            let info = *library.get::<Info>(b"espeak_Info\0").map_err(missing)?;
            (
                library,
                initialize,
                set_voice_by_name,
                text_to_phonemes,
                info,
            )
        };
        // SAFETY: first and only initialisation, under the lock of `ESPEAK`; a null path selects
        // the library's own data directory.
        let rate_hz = unsafe {
            initialize(
                AUDIO_OUTPUT_SYNCHRONOUS,
                0,
                ptr::null(),
                INITIALIZE_DONT_EXIT,
            )
        };
        if rate_hz <= 0 {
            return Err(no_phonemes("the data of espeak-ng is not installed"));
        }
        // SAFETY: the result is a static string of the library; the path is not asked for.
        let version = unsafe { owned(info(ptr::null_mut())) };
        let language = String::new();
        Ok(Self {
            set_voice_by_name,
            text_to_phonemes,
            version,
            language,
            _library: library,
        })
    }

    fn speak_language(&mut self, language: &str) -> Result<(), LocalError> {
        if self.language == language {
            return Ok(());
        }
        let name = CString::new(language)
            .map_err(|_| LocalError::BadInput("language name contains a zero byte".to_owned()))?;
        // SAFETY: initialised, under the lock, zero-terminated string that outlives the call.
        let status = unsafe { (self.set_voice_by_name)(name.as_ptr()) };
        if status != 0 {
            return Err(no_phonemes(format!(
                "espeak-ng does not know the language {language}"
            )));
        }
        language.clone_into(&mut self.language);
        Ok(())
    }

    fn clause(&self, clause: &Clause) -> Result<String, LocalError> {
        let words = CString::new(clause.words.as_str())
            .map_err(|_| LocalError::BadInput("text contains a zero byte".to_owned()))?;
        let mut rest: *const c_void = words.as_ptr().cast();
        let mut ipa = String::new();
        // the library returns one clause of its own per call and sets `rest` to null at the end
        while !rest.is_null() {
            let before = rest;
            // SAFETY: initialised, under the lock; `rest` points into `words`, which lives on.
            let part = unsafe {
                owned((self.text_to_phonemes)(
                    &raw mut rest,
                    CHARS_UTF8,
                    PHONEMES_IPA,
                ))
            };
            let part = part.trim();
            if !ipa.is_empty() && !part.is_empty() {
                ipa.push(' ');
            }
            ipa.push_str(part);
            if rest == before {
                break;
            }
        }
        let mut ipa = without_language_switches(&ipa);
        ipa.extend(clause.mark);
        Ok(ipa)
    }
}

/// Copies a C string.
///
/// # Safety
/// `text` is null or points to a zero-terminated string that stays unchanged during the call.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as this function demands.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// eSpeak marks words of another language as `(fr)kafe(en-us)`; the marks are not phonemes.
fn without_language_switches(ipa: &str) -> String {
    let mut depth = 0_u32;
    let mut out = String::with_capacity(ipa.len());
    for c in ipa.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_survives_and_sentences_are_apart() {
        let sentences = sentences("Hello there, how are you? I'm fine.", "en-us").unwrap();
        assert_eq!(sentences, ["həlˈoʊ ðˈɛɹ, hˈaʊ ɑːɹ juː?", "aɪm fˈaɪn."]);
    }

    #[test]
    fn numbers_and_money_are_words() {
        let money = sentences("$5.99", "en-us").unwrap();
        let words = sentences("five dollars and ninety nine cents", "en-us").unwrap();
        // the stress of "and" may differ, the sounds may not
        let sounds = |said: &[String]| said.concat().replace(['ˈ', 'ˌ'], "");
        assert_eq!(sounds(&money), sounds(&words));
    }

    #[test]
    fn nothing_to_say_is_no_sentence() {
        assert!(sentences(" … 😀 ", "en-us").unwrap().is_empty());
    }

    #[test]
    fn an_unknown_language_is_named() {
        let error = sentences("hello", "xx-nowhere").unwrap_err();
        assert!(error.to_string().contains("xx-nowhere"), "{error}");
    }

    #[test]
    fn an_absent_library_names_the_packages_to_install() {
        let error = Espeak::load("libespeak-ng-absent.so.1").err().unwrap();
        assert!(matches!(error, LocalError::NoPhonemes { .. }));
        assert!(
            error
                .to_string()
                .contains("apt-get install libespeak-ng1 espeak-ng-data")
        );
    }

    #[test]
    fn language_switches_are_no_phonemes() {
        assert_eq!(
            without_language_switches("(fr)kafˈe(en-us) nˈaʊ"),
            "kafˈe nˈaʊ"
        );
    }
}
