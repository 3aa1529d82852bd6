//! What came of a question set: counted for people, and line by line for their spreadsheets.
//! Used by the REST routes of `/v1/surveys`.
//! Never lets a cell begin with what a spreadsheet would run.

use store::{ChoiceCount, NumberSum, QuestionSet};
use wire::rest::surveys::{
    Answer, AnswerCount, NumberResults, Question, QuestionKind, QuestionResults, SurveyResults,
};

/// Longest id of a question set.
const ID_BYTES: usize = 64;
/// What makes a spreadsheet take a cell for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Whether a question set can be called that.
pub(crate) fn is_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=ID_BYTES).contains(&id.len()) && id.chars().all(fits)
}

/// The counts of a question set, question by question; answers that nobody has given are there with 0.
pub(crate) fn results(
    set: &QuestionSet,
    questions: &[Question],
    counts: &[ChoiceCount],
    sums: &[NumberSum],
) -> SurveyResults {
    let of = |(at, question): (i64, &Question)| {
        let counted = counts.iter().filter(|count| count.question == at);
        let answers = counted.clone().map(|count| count.count).sum();
        let names = match &question.kind {
            QuestionKind::YesNo => vec!["yes".to_owned(), "no".to_owned()],
            QuestionKind::Choice { options } => options.clone(),
            QuestionKind::Number { .. } | QuestionKind::Text { .. } => Vec::new(),
        };
        let count_of = |name: &String| {
            let found = counted
                .clone()
                .find(|count| count.choice.as_ref() == Some(name));
            found.map_or(0, |count| count.count)
        };
        let sum = sums.iter().find(|sum| sum.question == at);
        QuestionResults {
            text: question.text.clone(),
            answers: count(answers),
            counts: names
                .iter()
                .map(|name| AnswerCount {
                    answer: name.clone(),
                    count: count(count_of(name)),
                })
                .collect(),
            number: sum.map(|sum| NumberResults {
                min: sum.min,
                max: sum.max,
                mean: sum.mean,
            }),
        }
    };
    SurveyResults {
        object: "survey.results",
        id: set.id.clone(),
        responses: count(set.responses),
        questions: (0_i64..).zip(questions).map(of).collect(),
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// One line of CSV (RFC 4180), with its end.
pub(crate) fn csv_line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell_of(&cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell as it is written: in quotes where it must be, behind an apostrophe where a spreadsheet would run it.
fn cell_of(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok();
    let guarded = if text.starts_with(FORMULA) && !is_number {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if guarded.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

/// An answer as a cell.
pub(crate) fn cell(answer: &Answer) -> String {
    match answer {
        Answer::YesNo(true) => "yes".to_owned(),
        Answer::YesNo(false) => "no".to_owned(),
        Answer::Choice(text) | Answer::Text(text) => text.clone(),
        Answer::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula_runs() {
        let line = csv_line(
            [
                "a",
                "b,c",
                "say \"hi\"",
                "two\nlines",
                "=SUM(A1)",
                "-3.5",
                "@x",
                "",
            ]
            .map(str::to_owned),
        );
        assert_eq!(
            line,
            "a,\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\",'=SUM(A1),-3.5,'@x,\r\n"
        );
    }

    #[test]
    fn ids_are_short_and_plain() {
        for good in ["default-v1", "A.b_c", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
