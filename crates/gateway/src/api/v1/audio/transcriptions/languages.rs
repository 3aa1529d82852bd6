//! Names of languages, as the hosted service writes them in `verbose_json`.
//! Used by `render`.
//! Never decides which language is spoken.

/// ISO-639-1 codes and English names of the languages that the hosted service documents.
const NAMES: [(&str, &str); 57] = [
    ("af", "afrikaans"),
    ("ar", "arabic"),
    ("az", "azerbaijani"),
    ("be", "belarusian"),
    ("bg", "bulgarian"),
    ("bs", "bosnian"),
    ("ca", "catalan"),
    ("cs", "czech"),
    ("cy", "welsh"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", "english"),
    ("es", "spanish"),
    ("et", "estonian"),
    ("fa", "persian"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("gl", "galician"),
    ("he", "hebrew"),
    ("hi", "hindi"),
    ("hr", "croatian"),
    ("hu", "hungarian"),
    ("hy", "armenian"),
    ("id", "indonesian"),
    ("is", "icelandic"),
    ("it", "italian"),
    ("ja", "japanese"),
    ("kk", "kazakh"),
    ("kn", "kannada"),
    ("ko", "korean"),
    ("lt", "lithuanian"),
    ("lv", "latvian"),
    ("mi", "maori"),
    ("mk", "macedonian"),
    ("mr", "marathi"),
    ("ms", "malay"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("no", "norwegian"),
    ("pl", "polish"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sk", "slovak"),
    ("sl", "slovenian"),
    ("sr", "serbian"),
    ("sv", "swedish"),
    ("sw", "swahili"),
    ("ta", "tamil"),
    ("th", "thai"),
    ("tl", "tagalog"),
    ("tr", "turkish"),
    ("uk", "ukrainian"),
    ("ur", "urdu"),
    ("vi", "vietnamese"),
    ("zh", "chinese"),
];

/// The English name of `code`; a code that is not in the table stands for itself.
pub(super) fn name(code: &str) -> &str {
    let base = code.split(['-', '_']).next().unwrap_or(code);
    NAMES
        .iter()
        .find(|(known, _)| *known == base)
        .map_or(code, |(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names() {
        assert_eq!(
            (name("en"), name("de-AT"), name("xx")),
            ("english", "german", "xx")
        );
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
