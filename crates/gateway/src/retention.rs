//! For how long a tenant's conversations are kept: its own number of days, or that of its plan.
//! Asked by the daily job, and by `/v1/admin/tenants` and the command line for what is allowed.
//! Never removes anything: the store does, for whoever has asked here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use store::{Retention, Sql, StoreError, TenantLimits};

use crate::auth::DEFAULT_TENANT;
use crate::config::Config;

/// Days that conversations may be kept.
pub const RETENTION_DAYS: RangeInclusive<u32> = 1..=3650;

/// Tenants read at a time.
const PAGE: u32 = 500;

/// For how many days the conversations of a tenant are kept.
pub fn days(config: &Config, tenant: &str, plan: &str, own: &TenantLimits) -> u32 {
    let usual = config.conversations.retention_days;
    if let Some(days) = own.retention_days {
        return days;
    }
    // whoever runs the installation has its configuration instead of a plan
    if tenant == DEFAULT_TENANT {
        return usual;
    }
    let plan = config.plan(plan).map_or(0, |plan| plan.retention_days);
    if plan == 0 { usual } else { plan }
}

/// The same of all tenants.
///
/// # Errors
/// [`StoreError::Query`], [`StoreError::Unreachable`].
pub(crate) async fn of_all(sql: &Sql, config: &Config) -> Result<Retention, StoreError> {
    let mut tenants = BTreeMap::new();
    let mut last = String::new();
    loop {
        let page = sql.list_tenants(&last, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        for tenant in page {
            let days = days(config, &tenant.id, &tenant.plan, &tenant.limits);
            last.clone_from(&tenant.id);
            tenants.insert(tenant.id, days);
        }
        if is_last {
            break;
        }
    }
    Ok(Retention {
        days: config.conversations.retention_days,
        tenants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plan;

    #[test]
    fn the_own_number_goes_over_the_plan_and_the_plan_over_the_configuration() {
        let mut config = Config::default();
        config.conversations.retention_days = 7;
        let gold = Plan {
            retention_days: 700,
            ..Plan::default()
        };
        config.plans.insert("gold".to_owned(), gold);
        config.plans.insert("mute".to_owned(), Plan::default());
        let own = TenantLimits {
            retention_days: Some(5),
            ..TenantLimits::default()
        };
        let none = TenantLimits::default();
        for (tenant, plan, limits, expected) in [
            ("acme", "free", none, 30),
            ("acme", "pro", none, 90),
            ("acme", "enterprise", none, 365),
            ("acme", "gold", none, 700),
            ("acme", "mute", none, 7),
            ("acme", "no longer there", none, 7),
            ("acme", "gold", own, 5),
            (DEFAULT_TENANT, "enterprise", none, 7),
            (DEFAULT_TENANT, "enterprise", own, 5),
        ] {
            let kept = days(&config, tenant, plan, &limits);
            assert_eq!(kept, expected, "{tenant} {plan}");
        }
    }
}
