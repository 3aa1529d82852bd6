//! A dialogue as it is kept between two connections, for clients that come back.
//! Written after each step by the survey's edge, read by whichever gateway the client comes back to.
//! Never holds a code, and never an ask that was not answered: what was typed for it is typed again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Dialogue, Manner, Output, Stage, asked};
use crate::survey::Dialect;
use crate::survey::answers::Questions;
use crate::survey::locale::Phrase;

/// What is kept of a dialogue; personal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    questions: Option<Questions>,
}

impl Dialogue {
    /// What there is to keep.
    pub fn kept(&self) -> Kept {
        Kept {
            stage: self.stage.clone(),
            questions: self.questions.as_deref().cloned(),
        }
    }

    /// The dialogue that was kept, going on: the prompt that its client has to answer is said again.
    pub fn recall(manner: Arc<Manner>, kept: Kept, out: &mut Vec<Output>) -> Self {
        let dialogue = Self {
            manner,
            stage: kept.stage,
            questions: kept.questions.map(Arc::new),
            pending: None,
        };
        let locale = &dialogue.manner.locale;
        let prompt = match (&dialogue.stage, &dialogue.questions) {
            (Stage::Email, _) => locale.plain(Phrase::Welcome).to_owned(),
            (Stage::Code { address, .. }, _) => {
                locale.fill(Phrase::CodeSent, &[("email", address.as_typed())])
            }
            (Stage::Waiting { .. }, _) => locale.plain(Phrase::NoSurvey).to_owned(),
            (Stage::Asking { answers, .. }, Some(questions)) => {
                asked(questions, answers.len(), locale)
            }
            (Stage::Asking { .. }, None) | (Stage::Over, _) => {
                locale.plain(Phrase::Over).to_owned()
            }
        };
        dialogue.say(Phrase::Back, &[("prompt", &prompt)], out);
        if dialogue.is_over() {
            let close_after_ms = match dialogue.manner.dialect {
                Dialect::V3c => dialogue.manner.close_after_ms,
                Dialect::V1 => 0,
            };
            out.push(Output::CloseIn(close_after_ms));
        }
        dialogue
    }
}
