//! Who knew what a key is: this process, Redis, or the database.
//! Told by [`super::Metrics`].
//! Never labelled with the key.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Who knew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// This process, a moment ago.
    Process,
    /// Redis.
    Redis,
    /// The database had to be asked.
    Database,
}

impl Layer {
    const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Redis => "redis",
            Self::Database => "database",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    of: &'static str,
    layer: &'static str,
}

/// The numbers about keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    lookups: Family<Lookup, Counter>,
}

impl Keys {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "key_lookups",
            "Questions about an API key or its tenant, by who had the answer: process, redis or database",
            self.lookups.clone(),
        );
    }

    /// Lets the family show its header.
    pub(super) fn show(&self) {
        let nothing = Lookup { of: "", layer: "" };
        drop(self.lookups.get_or_create(&nothing));
    }

    pub(super) fn found(&self, of: &'static str, layer: Layer) {
        let layer = layer.name();
        self.lookups.get_or_create(&Lookup { of, layer }).inc();
    }
}
