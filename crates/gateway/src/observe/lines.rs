//! Events as lines of the log.
//! Written by [`super::Metrics::emit`].
//! Never writes a key or anything that was said.

use super::Event;
use super::metrics::part_name;

/// Writes an event's line.
pub(super) fn log(event: &Event<'_>) {
    match event {
        Event::SessionStarted { .. }
        | Event::SessionEnded { .. }
        | Event::TurnStage { .. }
        | Event::AudioDropped { .. }
        | Event::SlowClientClosed { .. }
        | Event::PartMissing { .. } => log_session(event),
        Event::ProviderFailed { .. }
        | Event::ToolRan { .. }
        | Event::ToolsListed { .. }
        | Event::Used { .. } => log_work(event),
        Event::KeyRefused { .. }
        | Event::RateLimited { .. }
        | Event::LimitReached { .. }
        | Event::QuotaNear { .. }
        | Event::RequestServed { .. }
        | Event::ConnectionRefused
        | Event::PipelineReady { .. }
        | Event::PipelineFailed { .. } => log_server(event),
    }
}

/// What happens to a conversation.
fn log_session(event: &Event<'_>) {
    match event {
        Event::SessionStarted { session, tenant } => {
            tracing::info!(session, tenant, "session started");
        }
        Event::SessionEnded {
            session,
            outcome,
            lasted,
            micro_dollars,
        } => tracing::info!(
            session,
            outcome = outcome.name(),
            lasted_s = lasted.as_secs(),
            micro_dollars,
            "session ended"
        ),
        Event::TurnStage {
            session,
            stage,
            after,
        } => tracing::debug!(
            session,
            stage = stage.name(),
            after_ms = after.as_millis() as u64,
            "turn reached a stage"
        ),
        Event::AudioDropped { session, frames } => {
            tracing::warn!(session, frames, "dropped audio frames");
        }
        Event::SlowClientClosed { session } => {
            tracing::warn!(session, "closed a client that does not read");
        }
        Event::PartMissing {
            session,
            part,
            missing,
        } => tracing::warn!(
            session,
            part = part_name(*part),
            missing,
            "session does without a part, or has it back"
        ),
        _ => {}
    }
}

/// What is done for a conversation.
fn log_work(event: &Event<'_>) {
    match event {
        Event::ProviderFailed {
            session,
            provider,
            code,
            message,
        } => {
            // not under `message`, which is the line's own text
            tracing::error!(session, provider, code, reason = message, "provider failed");
        }
        Event::ToolRan {
            session,
            kind,
            tool,
            cause: None,
            took,
        } => tracing::info!(
            session,
            kind,
            tool,
            took_ms = took.as_millis() as u64,
            "tool was run"
        ),
        Event::ToolRan {
            session,
            kind,
            tool,
            cause: Some(reason),
            took,
        } => tracing::warn!(
            session,
            kind,
            tool,
            took_ms = took.as_millis() as u64,
            reason,
            "tool failed"
        ),
        Event::ToolsListed {
            session,
            server,
            cause: None,
        } => tracing::debug!(session, server, "mcp server told what it has"),
        Event::ToolsListed {
            session,
            server,
            cause: Some(reason),
        } => tracing::warn!(
            session,
            server,
            reason,
            "mcp server did not tell what it has"
        ),
        Event::Used { used, cost } => tracing::debug!(
            session = used.session,
            turn = used.turn,
            stage = used.stage,
            provider = used.provider,
            model = used.model,
            micro_dollars = cost.map(engine::meter::Cost::micro_dollars),
            "provider was used"
        ),
        _ => {}
    }
}

/// What happens to the server.
fn log_server(event: &Event<'_>) {
    match event {
        Event::RateLimited { level, tenant } => {
            tracing::debug!(level, tenant, "refused a request: rate limit");
        }
        Event::LimitReached {
            level,
            measure,
            tenant,
        } => tracing::debug!(level, measure, tenant, "a limit is used up"),
        Event::QuotaNear { tenant, minutes } => tracing::warn!(
            tenant,
            minutes,
            "a tenant has used 80 % of its audio minutes of a day"
        ),
        Event::KeyRefused { reason, key_id } => tracing::warn!(reason, key_id, "refused a key"),
        // orchestrators ask every few seconds
        Event::RequestServed {
            route: "/health" | "/ready" | "/metrics",
            ..
        } => {}
        Event::RequestServed {
            method,
            route,
            status,
            took,
        } => tracing::info!(
            method,
            route,
            status,
            took_ms = took.as_millis() as u64,
            "served a request"
        ),
        Event::ConnectionRefused => tracing::warn!("refused a connection, too many are open"),
        Event::PipelineReady { pipeline, took } => {
            tracing::info!(
                pipeline,
                took_ms = took.as_millis() as u64,
                "pipeline is ready"
            );
        }
        Event::PipelineFailed { pipeline, message } => {
            tracing::error!(pipeline, reason = message, "pipeline could not be loaded");
        }
        _ => {}
    }
}
