//! E-mail addresses: which text is one, and which two are one person's.
//! Used by the dialogue and by the routes that send codes.
//! Never asks whether anybody reads mail there: that is what the code is for.

use serde::{Deserialize, Serialize};

/// Longest address that mail can be sent to, in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets).
const ADDRESS_BYTES: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321 §4.5.3.1.1).
const LOCAL_BYTES: usize = 64;
/// Longest label of a domain, in bytes (RFC 1035 §2.3.4).
const LABEL_BYTES: usize = 63;

/// What `+tag` before the `@` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlusTags {
    /// Another name of the same person, as with most mail services.
    #[default]
    SamePerson,
    /// Another person.
    OtherPerson,
}

/// An address that mail can be sent to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(Box<str>);

/// Personal: whoever prints it sees how long it is.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({} bytes)", self.0.len())
    }
}

impl Address {
    /// The address that `text` is, if it is one: letters, digits and `._%+-` before the `@`, letters, digits, dots and
    /// hyphens behind it, and at least two letters at the end (spec/chat-voice-survey A4). Of those, the ones that no mail
    /// can be sent to are none either: empty labels, a dot at either end of the first part, more than RFC 5321 allows.
    ///
    /// What is not ASCII is refused, so that two addresses that look alike are not two people; domains in other scripts
    /// are written in their ASCII form (`xn--`).
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let is_local = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
        let has_words = |part: &str| !part.is_empty() && part.split('.').all(|it| !it.is_empty());
        let fits = text.len() <= ADDRESS_BYTES && local.len() <= LOCAL_BYTES;
        if !(fits && local.chars().all(is_local) && has_words(local)) {
            return None;
        }
        let is_label = |label: &str| {
            (1..=LABEL_BYTES).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let (_, top) = domain.rsplit_once('.')?;
        let is_top = top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic());
        (is_top && domain.split('.').all(is_label)).then(|| Self(text.into()))
    }

    /// As it was typed.
    pub fn as_typed(&self) -> &str {
        &self.0
    }

    /// Under which its codes are kept: case does not count.
    pub fn mailbox(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Who it is, for "one answer a person": case does not count, and a tag only where `tags` says so.
    pub fn person(&self, tags: PlusTags) -> String {
        let mailbox = self.mailbox();
        if tags == PlusTags::OtherPerson {
            return mailbox;
        }
        match mailbox.split_once('@') {
            Some((local, domain)) => match local.split_once('+') {
                Some((name, _)) if !name.is_empty() => format!("{name}@{domain}"),
                _ => mailbox,
            },
            None => mailbox,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address_and_what_is_not() {
        for good in [
            "agent@example.com",
            "A.b_c%d+e-f@sub.example-1.co",
            "a@b.io",
            "1@2.museum",
            "me@xn--bcher-kva.example",
        ] {
            assert!(Address::parse(good).is_some(), "{good}");
        }
        let long = |local: usize, domain: usize| {
            format!("{}@{}.com", "a".repeat(local), "b".repeat(domain))
        };
        assert!(Address::parse(&long(64, 60)).is_some());
        let many = format!("{}@{}com", "a".repeat(64), "b.".repeat(100));
        for bad in [
            "",
            "@",
            "agent",
            "agent@example",
            "agent@example.c",
            "agent@example.c0m",
            "agent@.com",
            "a@b@c.com",
            "agent @example.com",
            "agent@exa mple.com",
            " agent@example.com",
            "agent@example.com\n",
            "agent@example..com",
            "agent@-example.com",
            ".agent@example.com",
            "ag..ent@example.com",
            "\"agent\"@example.com",
            "agent<x@example.com",
            "agent@example.com,other@example.com",
            "agent@example.com\r\nBcc: other@example.com",
            "agent@b\u{fc}cher.example",
            "\u{430}gent@example.com",
            "agent\u{ff20}example.com",
            "agent@example\u{2024}com",
            "agent\0@example.com",
            &long(65, 10),
            &long(10, 64),
            &many,
        ] {
            assert!(Address::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn case_and_tags_make_no_other_person() {
        let of = |text: &str, tags| Address::parse(text).unwrap().person(tags);
        let same = PlusTags::SamePerson;
        for text in [
            "Ann@Example.com",
            "ann+1@example.com",
            "ANN+a+b@EXAMPLE.COM",
        ] {
            assert_eq!(of(text, same), "ann@example.com", "{text}");
        }
        assert_eq!(of("+x@example.com", same), "+x@example.com");
        assert_eq!(
            of("Ann+1@example.com", PlusTags::OtherPerson),
            "ann+1@example.com"
        );
        // a code that was sent to a tag is that tag's
        let mailbox = Address::parse("Ann+1@Example.com").unwrap().mailbox();
        assert_eq!(mailbox, "ann+1@example.com");
    }

    #[test]
    fn nobody_is_shown_in_a_log() {
        let address = Address::parse("ann@example.com").unwrap();
        assert_eq!(format!("{address:?}"), "Address(15 bytes)");
    }
}
