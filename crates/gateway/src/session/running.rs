//! A function of the server, run and written down: what it took, what it counts for, why it failed.
//! Used by the wiring of sessions and by the route that answers in text.
//! Never decides whether a function is run, and never logs what it was given or returned.

use engine::ask::{ToolCall, ToolOutcome};
use engine::meter::Units;
use providers::tools::{Caller, Runnable};

use crate::clock::Clock;
use crate::metering::{Meter, Used};
use crate::observe::{Event, Metrics};

/// Runs functions; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) meter: Meter,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Running {
    /// Runs a function to its end, as the call `call_id` of `session`.
    pub(crate) async fn run(
        &self,
        runnable: &Runnable,
        call: &ToolCall,
        session: &str,
        call_id: String,
    ) -> ToolOutcome {
        let caller = Caller {
            session: session.to_owned(),
            call: call_id,
            at: self.clock.unix_s(),
        };
        let begun = self.clock.now();
        let ran = runnable.run(call, &caller).await;
        let took = self.clock.now().saturating_duration_since(begun);
        self.metrics.emit(&Event::ToolRan {
            session,
            kind: runnable.kind(),
            tool: &call.name,
            cause: ran.cause.as_deref(),
            took,
        });
        self.meter.note(&Used {
            session,
            turn: call.turn,
            stage: "tool",
            provider: runnable.kind(),
            model: &call.name,
            units: Units {
                tool_calls: 1,
                tool_ms: took.as_millis() as u64,
                ..Units::default()
            },
        });
        ran.outcome
    }
}
