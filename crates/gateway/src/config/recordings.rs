//! `[recordings]`: which calls are recorded, where the files are, and for how long.
//! Read by the telephone edge and by what removes recordings.
//! Never a way around consent: whoever has not agreed is not recorded, whatever stands here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Config;
use super::check::{Problem, within};

/// `[recordings]`: recordings of telephone calls, the caller on the left, the agent on the right. A call is recorded only where a
/// consent of the kind `recording` is on file for the other side's number (`POST /v1/consents`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recordings {
    /// Whether calls that come in are recorded. Calls that are placed say so themselves. Also `ENABLE_RECORDING`.
    pub inbound: bool,
    /// The folder of the files, which all servers of an installation share; `recordings` in `server.data_dir` when unset. Files are as
    /// they were heard: whoever can read the folder can listen.
    pub folder: Option<String>,
    /// After how many days a recording is removed, 1 to 3650.
    pub retention_days: u32,
}

impl Default for Recordings {
    fn default() -> Self {
        Self {
            inbound: false,
            folder: None,
            retention_days: 730,
        }
    }
}

/// LeadFlip's name for a key of this section.
pub(super) const ALIASES: [(&str, &str); 1] = [("ENABLE_RECORDING", "recordings.inbound")];

/// The first value of this section that is not accepted.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let days = config.recordings.retention_days;
    within("recordings.retention_days", days, 1..=3650)
}
