//! Stories over real sockets against a whole server with the scripted pipeline.

#![expect(
    clippy::unwrap_used,
    clippy::assigning_clones,
    clippy::expect_used,
    clippy::too_many_lines,
    clippy::similar_names,
    clippy::items_after_statements,
    clippy::large_futures,
    clippy::type_complexity,
    clippy::disallowed_methods,
    clippy::format_collect,
    clippy::unused_self,
    reason = "tests; a failed step ends them with its line, a story is told in one piece, and a configuration is changed field by field"
)]

mod admission;
mod agents;
mod agents_stored;
mod app_voice;
mod callees;
mod caller;
mod carrier;
// `test` tells the linter what this is
#[cfg(test)]
#[path = "../../../providers/tests/it/fakes/carriers/mod.rs"]
#[expect(
    dead_code,
    reason = "these stories need less of the fakes than the providers' tests"
)]
mod carriers;
mod chat;
mod client_secrets;
mod conversations;
// `test` tells the linter what this is
#[cfg(test)]
#[cfg(feature = "local")]
#[path = "../../../local/tests/it/clips.rs"]
mod clips;
mod clock;
mod defects;
mod dialling;
mod duplex;
mod eclipse;
mod extra_events;
mod faults_postgres;
mod faults_redis;
mod fifty;
mod handing;
mod issuers;
mod keys;
mod keys_admin;
mod known_keys;
mod leases;
mod limits;
mod mcp;
mod mind;
mod models;
mod operations;
mod phone;
mod phone_desk;
mod pipelines;
mod polled;
// `test` tells the linter what this is
#[cfg(test)]
#[path = "../../../store/tests/it/postgres.rs"]
#[expect(
    dead_code,
    reason = "these stories need less of the helper than the store's tests"
)]
mod postgres;
mod postgres_outage;
mod quotas;
mod realtime;
mod recorded;
mod redis;
// `test` tells the linter what this is
#[cfg(test)]
#[path = "../../../store/tests/it/redis_fleets.rs"]
mod redis_fleets;
mod redis_kinds;
#[path = "../../../store/tests/it/redis_servers.rs"]
mod redis_servers;
mod restored;
mod resuming;
mod room_guest;
mod rooms;
mod rooms_agent;
mod rooms_backend;
mod rooms_beyond;
mod rooms_limits;
mod rooms_postgres;
mod rooms_redis;
mod rooms_rest;
mod session;
mod slow_consumer;
mod smtp;
mod speech;
mod survey;
mod survey_codes;
mod survey_fleet;
mod survey_rest;
mod tenants;
mod tenants_limits;
mod tools;
mod transcriptions;
// `test` tells the linter what this is
#[cfg(test)]
#[path = "../../../providers/tests/it/fakes/upstream/mod.rs"]
#[expect(
    dead_code,
    reason = "these stories need less of the fakes than the providers' tests"
)]
mod upstream;
mod usage;
mod usage_rest;
mod usage_stored;
mod vault;
#[cfg(feature = "local")]
mod voice;
mod webhooks;
mod worker_desk;
mod workers;
mod world;
