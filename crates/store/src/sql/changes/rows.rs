//! Statements that write many rows at once: their texts, for as many rows as there may be in one.
//! Used by [`super`] alone.
//! Never makes a text of a value: only of how many rows there are. Each is made once, and prepared once a connection.

use std::sync::LazyLock;

/// Rows of one statement, at most. Counts are powers of two: a statement that is always another one is never prepared.
const MOST: usize = 1 << LARGEST;
const LARGEST: usize = 7;

/// A statement of 1, 2, 4 rows and so on.
pub(super) struct Rows {
    texts: [String; LARGEST + 1],
}

impl Rows {
    /// `head`, the rows and `tail`. `$1` is the same in all rows, where `first` says so; `columns` are a row's own.
    fn new(head: &str, first: &str, columns: usize, tail: &str) -> Self {
        let text = |size: usize| {
            let row = |row: usize| {
                let from = 2 + row * columns;
                let own: Vec<String> = (from..from + columns).map(|at| format!("${at}")).collect();
                format!("({first}{})", own.join(", "))
            };
            let rows: Vec<String> = (0..1 << size).map(row).collect();
            format!("{head} {} {tail}", rows.join(", "))
        };
        Self {
            texts: std::array::from_fn(text),
        }
    }

    /// The text for as many rows as [`parts`] gives.
    pub(super) fn text(&self, rows: usize) -> &str {
        &self.texts[(rows.max(1).ilog2() as usize).min(LARGEST)]
    }
}

/// `rows` in parts for which there is a text.
pub(super) fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = rows.len().min(MOST).checked_ilog2()?;
        let (part, rest) = rows.split_at(1 << length);
        rows = rest;
        Some(part)
    })
}

/// `$1` is the tenant; a row is id, start, project, model, settings, revision.
pub(super) static SETTINGS: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "INSERT INTO sessions (tenant, id, started_at, project, model, settings, revision) VALUES",
        "$1, ",
        6,
        "ON CONFLICT (tenant, id) DO UPDATE \
         SET settings = excluded.settings, revision = excluded.revision \
         WHERE sessions.revision < excluded.revision",
    )
});

/// `$1` is the tenant; a row is session, its start, item, position, revision, time, content.
pub(super) static PUT: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "WITH given (session, session_at, id, position, revision, created_at, content) AS (VALUES",
        "",
        7,
        ") INSERT INTO conversation_items \
         (tenant, session_at, session, id, position, revision, created_at, content) \
         SELECT sessions.tenant, sessions.started_at, sessions.id, given.id, given.position, given.revision, \
         given.created_at, given.content FROM given JOIN sessions \
         ON sessions.tenant = $1 AND sessions.id = given.session AND sessions.started_at = given.session_at \
         WHERE true \
         ON CONFLICT (tenant, session_at, session, id) DO UPDATE \
         SET position = excluded.position, revision = excluded.revision, content = excluded.content \
         WHERE conversation_items.revision < excluded.revision",
    )
});

/// `$1` is the tenant; a row is what [`crate::Piece`] has, behind its session.
pub(super) static USED: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "INSERT INTO usage \
         (tenant, session, run, number, project, at, turn, stage, provider, model, wanted, pipeline, prices, \
         audio_ms, characters, speech_ms, input_tokens, cached_tokens, output_tokens, audio_input_tokens, \
         audio_cached_tokens, audio_output_tokens, tool_calls, tool_ms, estimated, cost_pico) VALUES",
        "$1, ",
        25,
        "ON CONFLICT DO NOTHING",
    )
});

/// `$1` is the tenant; a row is session, run, turn, response.
pub(super) static ANSWERED: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "WITH given (session, run, turn, response) AS (VALUES",
        "",
        4,
        ") UPDATE usage SET response = given.response FROM given \
         WHERE usage.tenant = $1 AND usage.session = given.session AND usage.run = given.run \
         AND usage.turn = given.turn AND usage.response IS NULL",
    )
});

/// `$1` is the tenant; a row is session, end, outcome, revision.
pub(super) static ENDED: LazyLock<Rows> = LazyLock::new(|| {
    Rows::new(
        "WITH given (id, ended_at, outcome, revision) AS (VALUES",
        "",
        4,
        ") UPDATE sessions \
         SET ended_at = given.ended_at, outcome = given.outcome, revision = given.revision FROM given \
         WHERE sessions.tenant = $1 AND sessions.id = given.id AND sessions.revision < given.revision",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_into_parts_that_have_a_text() {
        for count in 0..600 {
            let rows: Vec<usize> = (0..count).collect();
            let sizes: Vec<usize> = parts(&rows).map(<[usize]>::len).collect();
            assert_eq!(parts(&rows).flatten().copied().collect::<Vec<_>>(), rows);
            assert!(
                sizes
                    .iter()
                    .all(|size| size.is_power_of_two() && *size <= MOST)
            );
            assert!(sizes.len() <= count / MOST + LARGEST);
        }
    }

    #[test]
    fn a_text_names_each_value_of_each_row_once() {
        for rows in [1, 2, 128] {
            let text = PUT.text(rows);
            let last = 1 + 7 * rows;
            assert_eq!(text.matches('(').count(), rows + 4, "{text}");
            assert!(text.contains(&format!("${last})")), "{text}");
            assert!(!text.contains(&format!("${}", last + 1)), "{text}");
        }
        assert!(
            SETTINGS
                .text(2)
                .contains("VALUES ($1, $2, $3, $4, $5, $6, $7), ($1, $8, $9,")
        );
    }
}
