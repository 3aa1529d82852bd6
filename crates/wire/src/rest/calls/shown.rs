//! How bodies about calls are shown in logs and failed tests: by what tells them apart.
//! Used wherever one is written with `{:?}`.
//! Never shows a number, nor what was said, agreed on or asked for: that is personal.

use std::fmt;

use super::leadflip::{Job, LegacyCall};
use super::{Call, CallQuery, CallSummary, Consent, DoNotCall, NewCall, Reply, Transfer};

/// Shows these fields of a body and that there are others.
macro_rules! shown {
    ($($body:ident: $($field:ident),*;)+) => {
        $(
            impl fmt::Debug for $body {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_struct(stringify!($body))
                        $(.field(stringify!($field), &self.$field))*
                        .finish_non_exhaustive()
                }
            }
        )+
    };
}

shown! {
    NewCall: agent, call_type, scheduled_at, recording, lead_id;
    Call: id, direction, state, outcome, hangup_reason, blocked_by, attempt;
    CallSummary: status, consumer_interest_level, do_not_call;
    Reply: ;
    CallQuery: state, outcome, direction, agent, lead_id, limit;
    Transfer: mode, timeout_s;
    DoNotCall: source, created_at;
    Consent: kind, source, granted_at, expires_at;
    Job: call_id, call_type, scheduled_time, attempt_number;
    LegacyCall: id, status, call_type, lead_id, attempt_number;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_shows_a_number_or_what_a_call_is_for() {
        let call =
            serde_json::json!({"to": "+14155550100", "objective": "Confirm the visit of Tuesday."});
        let call: NewCall = serde_json::from_value(call).expect("read");
        let listed = DoNotCall {
            number: "+14155550100".to_owned(),
            note: Some("asked for it".to_owned()),
            source: None,
            created_at: None,
        };
        let to = Transfer {
            to: "+14155550100".to_owned(),
            mode: super::super::TransferMode::Cold,
            timeout_s: None,
            summary: Some("the visit of Tuesday".to_owned()),
        };
        for shown in [
            format!("{call:?}"),
            format!("{listed:?}"),
            format!("{to:?}"),
        ] {
            assert!(
                !shown.contains("415") && !shown.contains("Tuesday"),
                "{shown}"
            );
            assert!(!shown.contains("asked"), "{shown}");
        }
    }
}
