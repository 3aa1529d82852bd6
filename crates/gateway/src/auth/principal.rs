//! Who is asking and what they may do.
//! Made by `authenticate`; carried by handlers and sessions.
//! Never holds the key it was made from.

use serde_json::Value;
use store::{Place, TenantLimits};

use super::{DEFAULT_PLAN, DEFAULT_PROJECT, DEFAULT_TENANT};

/// A permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Converse, transcribe, speak, and make client secrets.
    RealtimeConnect,
    /// See and end other sessions of the tenant.
    RealtimeAdmin,
    /// Read usage and invoices.
    BillingRead,
    /// Administer the tenant.
    TenantAdmin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [
        Self::RealtimeConnect,
        Self::RealtimeAdmin,
        Self::BillingRead,
        Self::TenantAdmin,
    ];

    /// Its name, as stored with a key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RealtimeConnect => "realtime:connect",
            Self::RealtimeAdmin => "realtime:admin",
            Self::BillingRead => "billing:read",
            Self::TenantAdmin => "tenant:admin",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them.
    pub fn full() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether `scope` is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Their names, for storage.
    pub fn names(self) -> Vec<String> {
        Scope::ALL
            .into_iter()
            .filter(|scope| self.has(*scope))
            .map(|scope| scope.name().to_owned())
            .collect()
    }

    /// The set of these names; names of scopes that this build does not know grant nothing.
    pub fn from_names(names: &[String]) -> Self {
        names.iter().filter_map(|name| Scope::parse(name)).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// How much a tenant may have: what its plan says, and what differs from that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Name of the plan.
    pub plan: String,
    /// What differs.
    pub limits: TenantLimits,
}

/// Whoever is asking.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// Whose key it is.
    pub tenant: String,
    /// The project it belongs to.
    pub project: String,
    /// Public id of the key; `bootstrap` for the bootstrap key.
    pub key_id: String,
    /// What it may do.
    pub scopes: Scopes,
    /// How much its tenant may have.
    pub allowance: Allowance,
    /// For an ephemeral secret: the `session` object stored with it.
    pub stored_session: Option<Value>,
}

impl Principal {
    /// A part of this server, called `part`, that asks on its own account.
    pub(crate) fn of_installation(part: &str) -> Self {
        Self {
            tenant: DEFAULT_TENANT.to_owned(),
            project: DEFAULT_PROJECT.to_owned(),
            key_id: part.to_owned(),
            scopes: Scopes::default(),
            allowance: Allowance {
                plan: DEFAULT_PLAN.to_owned(),
                limits: TenantLimits::default(),
            },
            stored_session: None,
        }
    }

    /// Where its agents are.
    pub fn place(&self) -> Place<'_> {
        Place {
            tenant: &self.tenant,
            project: &self.project,
        }
    }

    /// Whether it runs the installation: it administers the tenant that was there first.
    pub fn is_operator(&self) -> bool {
        self.tenant == DEFAULT_TENANT && self.scopes.has(Scope::TenantAdmin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_scopes_belong_together() {
        assert_eq!(Scopes::full().names().len(), Scope::ALL.len());
        assert_eq!(Scopes::from_names(&Scopes::full().names()), Scopes::full());
        let one = Scopes::from_names(&["realtime:connect".to_owned(), "fly:moon".to_owned()]);
        assert!(one.has(Scope::RealtimeConnect) && !one.has(Scope::TenantAdmin));
    }
}
