//! The conformance suite: every backend must pass every story.

#![expect(
    clippy::unwrap_used,
    reason = "tests; a failed step ends them with its line"
)]

#[macro_use]
mod backend;

mod agents;
mod audit;
mod boxes;
mod call_gates;
mod call_progress;
mod call_queue;
mod call_walls;
mod callees;
mod calls;
mod chat;
mod client_secrets;
mod conversations;
mod facts;
mod journal;
mod journal_keys;
mod keys;
mod leases;
mod limits;
mod live;
mod live_sessions;
mod months;
mod outages;
mod postgres;
mod redis_fleets;
mod redis_servers;
mod roles;
mod rooms;
mod schema;
mod sealing;
mod sqlite_files;
mod surveys;
mod sweep;
mod tenants;
mod usage;
mod usage_months;
mod voice;
mod walls;
mod webhooks;
mod work;
mod work_outage;
