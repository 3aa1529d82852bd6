//! Who did an administrative action, and from where: the beginning of every entry of the audit log.
//! Made by the extractor of administrators and by the command line; entries are stored by `store::sql`.
//! Never holds a secret: of a key only its public id.

use chrono::{DateTime, Utc};
use store::Act;

/// Somebody who changes what administrators change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Tenant and public id of the key, or `command line`.
    pub name: String,
    /// Network address.
    pub ip: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
}

impl Actor {
    /// Whoever has the database's address.
    pub fn command_line() -> Self {
        Self {
            name: "command line".to_owned(),
            ip: None,
            request_id: None,
        }
    }

    /// An entry that says nothing yet of before and after.
    pub fn act(&self, at: DateTime<Utc>, action: &'static str, resource: &str) -> Act {
        Act {
            at,
            actor: self.name.clone(),
            action,
            resource: resource.to_owned(),
            before: None,
            after: None,
            ip: self.ip.clone(),
            request_id: self.request_id.clone(),
        }
    }
}
