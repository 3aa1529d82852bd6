//! The list of metrics as a table, for the documents.
//! Called by the document generator.
//! Never shows a label's value.

use super::super::events::Stage;
use super::{
    Metrics, OutcomeLabel, ProviderLabel, QueueLabel, ReasonLabel, RouteLabel, StageLabel,
    TimedRouteLabel,
};

/// The list of metrics as a Markdown table, for `docs/generated/metrics.md`.
pub fn metrics_markdown() -> String {
    let metrics = Metrics::default();
    // a family shows its header only once it has a member
    drop(metrics.0.stages.get_or_create(&StageLabel {
        stage: Stage::Heard.name(),
    }));
    drop(metrics.0.request_time.get_or_create(&TimedRouteLabel {
        route: String::new(),
    }));
    let f = &metrics.0.families;
    drop(f.sessions.get_or_create(&OutcomeLabel { outcome: "" }));
    drop(f.provider_failures.get_or_create(&ProviderLabel {
        provider: String::new(),
        code: String::new(),
    }));
    drop(f.keys_refused.get_or_create(&ReasonLabel { reason: "" }));
    drop(f.requests.get_or_create(&RouteLabel {
        method: String::new(),
        route: String::new(),
        status: 200,
    }));
    drop(f.queue_depth.get_or_create(&QueueLabel { queue: "" }));
    f.calls.show();
    f.incidents.show();
    f.keys.show();
    f.limits.show();
    f.surveys.show();
    f.rooms.show();
    f.usage.show();
    f.work.show();
    f.outgoing.show();
    let mut table = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    let text = metrics.text();
    for help in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, meaning) = help.split_once(' ').unwrap_or((help, ""));
        let kind = text
            .lines()
            .find_map(|line| {
                line.strip_prefix("# TYPE ")?
                    .strip_prefix(name)?
                    .strip_prefix(' ')
            })
            .unwrap_or_default();
        let labels = text
            .lines()
            .filter(|line| line.starts_with(name))
            .find_map(|line| {
                line.split_once('{')?
                    .1
                    .split_once('}')
                    .map(|(labels, _)| labels)
            })
            .map(label_names)
            .unwrap_or_default();
        table.push_str(&format!(
            "| `{name}` | {kind} | {labels} | {} |\n",
            meaning.trim_end_matches('.')
        ));
    }
    table
}

/// `a="x",le="1"` as `a`; `le` is the histogram's own.
fn label_names(labels: &str) -> String {
    labels
        .split(',')
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name))
        .filter(|name| *name != "le")
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_family_with_its_labels() {
        let table = metrics_markdown();
        assert!(
            table.contains("| `antiphon_turn_stage_seconds` | histogram | stage | Time from"),
            "{table}"
        );
        assert!(
            table.contains("| `antiphon_http_requests` | counter | method, route, status |"),
            "{table}"
        );
        assert_eq!(table.lines().count(), 2 + 89);
    }
}
