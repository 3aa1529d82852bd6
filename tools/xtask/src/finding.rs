//! One broken rule at one place, and how it reads on a terminal.
//! Every rule returns these; `steps` prints them.
//! It never decides whether a finding is fatal: they all are.

use std::fmt;

/// A broken rule: which one, where, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Short name of the rule, as CONTRIBUTING.md lists it.
    pub(crate) rule: &'static str,
    /// Path from the repository root, or the name of a crate.
    pub(crate) place: String,
    /// Line number counted from 1, where the rule is about a line.
    pub(crate) line: Option<usize>,
    /// What is wrong and what is expected instead.
    pub(crate) message: String,
}

impl Finding {
    /// A finding about a whole file or crate.
    pub(crate) fn file(rule: &'static str, place: &str, message: impl Into<String>) -> Self {
        Self {
            rule,
            place: place.to_owned(),
            line: None,
            message: message.into(),
        }
    }

    /// A finding about one line; `index` counts from 0, as iterators do.
    pub(crate) fn line(
        rule: &'static str,
        place: &str,
        index: usize,
        message: impl Into<String>,
    ) -> Self {
        Self {
            line: Some(index + 1),
            ..Self::file(rule, place, message)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {} [{}]", self.place, self.message, self.rule),
            None => write!(f, "{}: {} [{}]", self.place, self.message, self.rule),
        }
    }
}
