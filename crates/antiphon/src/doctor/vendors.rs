//! Whether the configured vendors answer and take their keys, and how long a connection to them takes.
//! `doctor` calls it after it has looked at this machine.
//! It never makes a vendor do any work that costs money.

use std::time::Duration;

use gateway::Config;
use providers::{Catalog, Kind};

use super::Finding;

/// Longest wait for one vendor; all are asked at once.
const WITHIN: Duration = Duration::from_secs(10);

/// One finding per vendor that a pipeline names.
pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let opened = config
        .catalog()
        .map_err(|error| error.to_string())
        .and_then(|wanted| Catalog::vendors_of(wanted).map_err(|error| error.to_string()));
    let vendors = match opened {
        Ok(vendors) => vendors,
        Err(problem) => {
            let advice =
                "correct the configuration; `antiphon serve --print-config` shows what is in force";
            return vec![Finding::fail("providers", problem, advice)];
        }
    };
    let checked = vendors.check(WITHIN).await;
    checked
        .into_iter()
        .map(|vendor| {
            let name = format!("{} for {}", vendor.provider, vendor.stage.name());
            match vendor.outcome {
                Ok(took) => Finding::ok(
                    "provider",
                    format!("{name} answers in {} ms", took.as_millis()),
                ),
                Err(error) => {
                    let advice = match error.kind {
                        Kind::Unauthorized => "set the right key, or take it out of the pipeline",
                        Kind::Unavailable | Kind::Timeout => {
                            "check its base_url and that this machine may reach it"
                        }
                        _ => "the vendor's status page may know more",
                    };
                    Finding::fail("provider", format!("{name}: {}", error.message), advice)
                }
            }
        })
        .collect()
}
