//! The price table: what is known of vendors, and what the operator knows better.
//! Loaded once at start.
//! Never guesses a price.

use std::path::{Path, PathBuf};

use engine::meter::PriceTable;

/// List prices as of the table's version.
const LISTED: &str = include_str!("../../prices.toml");

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The operator's file cannot be read.
    #[error("cannot read the prices in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not a price table.
    #[error("the prices in {path} are no price table: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line and expectation.
        reason: String,
    },
}

/// The listed prices, behind those of `own` where there is such a file.
///
/// # Errors
/// [`PricesError`].
pub fn load(own: Option<&Path>) -> Result<PriceTable, PricesError> {
    let listed = parse(Path::new("prices.toml"), LISTED)?;
    let Some(path) = own else {
        return Ok(listed);
    };
    let text = std::fs::read_to_string(path).map_err(|source| PricesError::Read {
        path: path.to_owned(),
        source,
    })?;
    let own = parse(path, &text)?;
    let version = format!("{} over {}", own.version, listed.version);
    // of equally exact entries the first counts, and an operator's entry counts whatever the list has
    let is_own = |provider: &str, model: &str| {
        own.prices
            .iter()
            .any(|price| price.provider == provider && covers(&price.model, model))
    };
    let rest = listed
        .prices
        .into_iter()
        .filter(|price| !is_own(&price.provider, &price.model));
    let mut prices = own.prices.clone();
    prices.extend(rest);
    Ok(PriceTable { version, prices })
}

/// Whether everything that `listed` stands for is also what `own` stands for.
fn covers(own: &str, listed: &str) -> bool {
    match own.strip_suffix('*') {
        None => own == listed,
        Some(start) => listed.starts_with(start),
    }
}

fn parse(path: &Path, text: &str) -> Result<PriceTable, PricesError> {
    toml::from_str(text).map_err(|error| PricesError::Parse {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
