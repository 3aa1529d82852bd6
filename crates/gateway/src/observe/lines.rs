//! Happenings as lines of the log.
//! Written by [`super::Metrics::emit`], next to their numbers.
//! Never holds what was said, a key or a vendor's explanation.

use engine::session::Part;

use super::events::Event;

/// The label of a part of the pipeline.
pub(super) const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Ears => "stt",
        Part::Language => "llm",
        Part::Voice => "tts",
    }
}

/// Writes the line of a happening.
pub(super) fn log(event: &Event<'_>) {
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
        Event::ProviderFailed {
            session,
            provider,
            code,
            message,
        } => {
            // not under `message`, which is the line's own text
            tracing::error!(session, provider, code, reason = message, "provider failed");
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
        Event::ToolRan {
            session,
            kind,
            tool,
            failed,
            took,
        } => tracing::info!(
            session,
            kind,
            tool,
            failed,
            took_ms = took.as_millis() as u64,
            "tool was run"
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
    }
}
