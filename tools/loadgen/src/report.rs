//! Numbers to people and to programs: quantiles, a table, JSON lines.
//! Every mode writes here and nowhere else.
//! It never judges a number.

use std::io::{self, Write as _};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// Where a run's numbers go.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    rows: Vec<(String, String)>,
    summary: Map<String, Value>,
}

impl Report {
    /// JSON lines, or a table at the end.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            rows: Vec::new(),
            summary: Map::new(),
        }
    }

    /// One observation; written at once, and only as JSON.
    pub(crate) fn line(&self, observation: &Value) -> anyhow::Result<()> {
        if self.json {
            write(&observation.to_string())
        } else {
            Ok(())
        }
    }

    /// One value of the summary.
    pub(crate) fn value(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let shown = match &value {
            Value::String(text) => text.clone(),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => format!("{float:.1}"),
                _ => number.to_string(),
            },
            other => other.to_string(),
        };
        self.rows.push((name.to_owned(), shown));
        self.summary.insert(name.to_owned(), value);
    }

    /// The distribution of `samples`, in the unit that `name` ends with; nothing when there are none.
    pub(crate) fn spread(&mut self, name: &str, samples: &[f64]) {
        let Some(spread) = Spread::of(samples) else {
            return;
        };
        let shown = format!(
            "p50 {:.1}  p95 {:.1}  p99 {:.1}  max {:.1}  (min {:.1}, n {})",
            spread.p50,
            spread.p95,
            spread.p99,
            spread.max,
            spread.min,
            samples.len()
        );
        self.rows.push((name.to_owned(), shown));
        let round = |value: f64| (value * 10.0).round() / 10.0;
        let value = json!({
            "p50": round(spread.p50),
            "p95": round(spread.p95),
            "p99": round(spread.p99),
            "max": round(spread.max),
            "min": round(spread.min),
            "n": samples.len(),
        });
        self.summary.insert(name.to_owned(), value);
    }

    /// Writes the summary.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        if self.json {
            return write(&json!({"summary": self.summary}).to_string());
        }
        let width = self
            .rows
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, shown) in &self.rows {
            write(&format!("{name:width$}  {shown}"))?;
        }
        Ok(())
    }
}

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing. A quantile is the smallest sample with at least that share at or below it.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted[rank.clamp(1, sorted.len()) - 1]
        };
        Some(Self {
            min,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max,
        })
    }
}

fn write(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("write the report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let spread = Spread::of(&samples).expect("not empty");
        assert_eq!((spread.min, spread.p50, spread.p95), (1.0, 50.0, 95.0));
        assert_eq!((spread.p99, spread.max), (99.0, 100.0));
        assert_eq!(Spread::of(&[7.0]).map(|spread| spread.p95), Some(7.0));
        assert_eq!(Spread::of(&[]), None);
    }
}
