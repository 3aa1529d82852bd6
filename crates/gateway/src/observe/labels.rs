//! The names of labels, out of the text in which metrics are shown.
//! Used by the table of metrics in the documents.
//! Never shows a label's value.

/// `a="x",le="1"` as `a`; `le` is the histogram's own.
pub(super) fn label_names(labels: &str) -> String {
    labels
        .split(',')
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| name))
        .filter(|name| *name != "le")
        .collect::<Vec<_>>()
        .join(", ")
}
