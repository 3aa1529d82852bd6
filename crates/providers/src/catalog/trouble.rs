//! What goes wrong while pipelines are put together, and where it is configured.
//! Used by `open`.
//! Never shows a key.

use super::CatalogError;
use crate::{Kind, ProviderError};

/// Why an entry of a pipeline gives no provider.
pub(super) enum Trouble {
    /// Nobody has this name.
    Unknown,
    /// It exists, but does something else.
    Incapable(&'static str),
    Error(CatalogError),
}

impl From<CatalogError> for Trouble {
    fn from(error: CatalogError) -> Self {
        Self::Error(error)
    }
}

pub(super) fn name_of(entry: &str) -> &str {
    entry.split_once('/').map_or(entry, |(name, _)| name)
}

pub(super) fn opened<P>(entry: &str, provider: Result<P, ProviderError>) -> Result<P, Trouble> {
    provider.map_err(|error| {
        let place = format!("providers.{}", name_of(entry));
        Trouble::Error(CatalogError::Vendor { place, error })
    })
}

pub(super) fn problem_of(pipeline: &str, problem: String) -> CatalogError {
    CatalogError::Pipeline {
        pipeline: pipeline.to_owned(),
        problem,
    }
}

pub(super) fn problem_of_provider(name: &str, problem: String) -> CatalogError {
    CatalogError::Vendor {
        place: format!("providers.{name}"),
        error: ProviderError::new(name.to_owned(), Kind::Rejected, problem),
    }
}

/// Workers are named where there is no way to them.
pub(super) fn unreachable_workers(entry: &str) -> Trouble {
    let problem = "workers are asked over Redis: set REDIS_URL".to_owned();
    Trouble::Error(problem_of_provider(name_of(entry), problem))
}
