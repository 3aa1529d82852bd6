//! Where a lead stands after a call about it, in LeadFlip's words (spec: telephony §6.3).
//! Asked by the gateway when a call was summed up.
//! Never moves a lead back, and never calls somebody contacted because we made a mistake.

use super::state::Outcome;

/// How far a lead has come; what is not in the list has come nowhere.
const LADDER: [&str; 4] = [
    "contact_attempted",
    "contacted",
    "appointment_scheduled",
    "declined",
];

/// What becomes of a lead that is `now`, after a call with this outcome; nothing when it stays where it is.
pub fn status_after(
    now: Option<&str>,
    outcome: Outcome,
    appointment: bool,
) -> Option<&'static str> {
    let next = match outcome {
        Outcome::GoalAchieved if appointment => "appointment_scheduled",
        Outcome::GoalAchieved | Outcome::Transferred => "contacted",
        Outcome::Declined => "declined",
        Outcome::NoAnswer | Outcome::Busy | Outcome::Voicemail => "contact_attempted",
        Outcome::Incomplete | Outcome::Failed | Outcome::Error => return None,
    };
    let rank = |status: &str| LADDER.iter().position(|known| *known == status);
    let stays = now
        .and_then(rank)
        .is_some_and(|now| Some(now) >= rank(next));
    (!stays).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_goes_forward_only() {
        for (now, outcome, appointment, expected) in [
            (
                Some("pending"),
                Outcome::GoalAchieved,
                true,
                Some("appointment_scheduled"),
            ),
            (None, Outcome::GoalAchieved, false, Some("contacted")),
            (
                Some("pending"),
                Outcome::Voicemail,
                false,
                Some("contact_attempted"),
            ),
            (Some("contacted"), Outcome::NoAnswer, false, None),
            (
                Some("appointment_scheduled"),
                Outcome::GoalAchieved,
                false,
                None,
            ),
            (
                Some("appointment_scheduled"),
                Outcome::Voicemail,
                false,
                None,
            ),
            (
                Some("appointment_scheduled"),
                Outcome::Declined,
                false,
                Some("declined"),
            ),
            (Some("declined"), Outcome::GoalAchieved, true, None),
            (Some("pending"), Outcome::Error, false, None),
            (Some("pending"), Outcome::Incomplete, true, None),
            (Some("pending"), Outcome::Failed, false, None),
        ] {
            let next = status_after(now, outcome, appointment);
            assert_eq!(next, expected, "{now:?} {outcome:?}");
        }
    }
}
