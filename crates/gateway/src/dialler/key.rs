//! Which call, and which attempt at it.
//! Used throughout the dialler.
//! Never names a call without its tenant.

/// Which call, and which attempt at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallKey {
    /// Whose it is.
    pub tenant: String,
    /// Names it among the tenant's.
    pub id: String,
    /// The attempt, from 1.
    pub attempt: i64,
}

impl CallKey {
    /// As the store wants it.
    pub fn named(&self) -> (&str, &str) {
        (&self.tenant, &self.id)
    }

    /// The same, with the attempt.
    pub fn at_attempt(&self) -> (&str, &str, i64) {
        (&self.tenant, &self.id, self.attempt)
    }

    /// The attempt as the engine counts it.
    pub fn engine_attempt(&self) -> u32 {
        u32::try_from(self.attempt).unwrap_or(1)
    }

    /// What names the attempt for a carrier.
    pub fn correlation(&self) -> String {
        format!("{}.{}.{}", self.tenant, self.id, self.attempt)
    }
}
