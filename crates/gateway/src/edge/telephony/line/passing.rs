//! The agent passes the caller on: asked for by a function of the model's, done once everything was heard that it has said.
//! Called by [`super::keys`] and by the clock of [`super::act`].
//! Never awaits the carrier: a task asks it, and what came of it comes back as an order.

use std::sync::Arc;

use engine::call::state::Party;
use serde_json::{Value, json};
use wire::rest::calls::TransferMode;

use super::{Line, Replying};
use crate::calls::Order;
use crate::calls::transfer::{self, RINGS_S, Wish};

/// How long what the agent says is waited for before the caller is taken away, in ms.
const SAID_WITHIN_MS: u64 = 15_000;

/// A transfer that the agent wants.
pub(super) struct Handing {
    /// The function's call, to be answered when nothing comes of it.
    function: String,
    arguments: Value,
    /// Until the carrier was asked.
    wish: Option<Wish>,
    pub(super) until_ms: u64,
}

impl Line {
    /// The model calls `transfer_call`.
    pub(super) fn want_transfer(
        &mut self,
        function: &str,
        arguments: &Value,
    ) -> Result<(), &'static str> {
        if self.handing.is_some() || self.leaving.is_some() {
            return Err("the caller is being passed on already, or the call is ending");
        }
        let text = |name: &str| arguments[name].as_str().map(str::trim);
        let target = text("target").filter(|target| !target.is_empty());
        let target = target.ok_or("say whom: target is missing")?;
        let mode = match text("mode") {
            Some("warm") => TransferMode::Warm,
            Some("cold") | None => TransferMode::Cold,
            Some(_) => return Err("mode is cold or warm"),
        };
        let wish = Wish {
            to: target.to_owned(),
            mode,
            timeout_s: RINGS_S,
            summary: text("summary").map(str::to_owned),
            by: Party::Agent,
        };
        self.handing = Some(Handing {
            function: function.to_owned(),
            arguments: arguments.clone(),
            wish: Some(wish),
            until_ms: self.now_ms() + SAID_WITHIN_MS,
        });
        if mode == TransferMode::Warm {
            let words = self.app.config.telephony.transfer_notice.clone();
            self.speak(words);
        }
        Ok(())
    }

    /// Asks the carrier as soon as the caller has heard everything; gives up what nobody has answered.
    pub(super) fn hand_over(&mut self, quiet: bool, now_ms: u64) {
        let Some(handing) = &mut self.handing else {
            return;
        };
        let late = now_ms >= handing.until_ms;
        if handing.wish.is_none() {
            if late {
                self.not_passed("nobody took the call in time");
            }
            return;
        }
        if !(late || quiet && self.replying == Replying::No) {
            return;
        }
        let Some(wish) = handing.wish.take() else {
            return;
        };
        let patience = transfer::patience(wish.timeout_s).as_millis();
        handing.until_ms = now_ms + u64::try_from(patience).unwrap_or(u64::MAX);
        let (app, key) = (Arc::clone(&self.app), self.key.clone());
        self.app.lifecycle.spawn(async move {
            let begun = transfer::pass_on(&app, &key, &wish).await;
            if let Err(error) = begun {
                tracing::warn!(
                    call = key.id,
                    why = error.code(),
                    "a caller is not passed on"
                );
                let order = Order::NotPassed(error.to_string());
                app.phone.live.order(key.named(), order);
            }
        });
    }

    /// Nothing has come of it: the agent is told, and talks on.
    pub(super) fn not_passed(&mut self, why: &str) {
        if let Some(handing) = self.handing.take() {
            let output = json!({ "error": format!("{why}; the caller is still with you") });
            let call = ("transfer_call", handing.arguments);
            self.answer_function(handing.function, call, &output);
        }
    }
}
