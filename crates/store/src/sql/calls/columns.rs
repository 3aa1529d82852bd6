//! The columns of a call, in the order in which they are written.
//! Used by the statements that write a whole call.
//! Never names `finalized_at`, nor who has claimed a call: those have statements of their own.

/// Writes every column that changes in a call's life; `$statement` names them from `$3` on.
macro_rules! write_call {
    ($statement:expr, $tenant:expr, $call:expr, $details:expr) => {
        sqlx::query($statement)
            .bind($tenant)
            .bind(&$call.id)
            .bind(&$call.project)
            .bind(&$call.provider)
            .bind(&$call.carrier_call_id)
            .bind(&$call.stream_id)
            .bind(&$call.session)
            .bind(&$call.direction)
            .bind(&$call.state)
            .bind(&$call.carrier_status)
            .bind(&$call.outcome)
            .bind(&$call.hangup_reason)
            .bind(&$call.hangup_by)
            .bind(&$call.answered_by)
            .bind($call.attempt_number)
            .bind(&$call.error_message)
            .bind(&$call.agent)
            .bind(&$call.lead)
            .bind(&$call.business)
            .bind(&$call.consumer)
            .bind(&$call.initiator)
            .bind(&$call.prompt_version)
            .bind(&$call.interest)
            .bind(&$call.summary_status)
            .bind($call.appointment_at)
            .bind($call.quote_micros)
            .bind($call.estimated_micros)
            .bind($call.actual_micros)
            .bind(&$call.cost_parts)
            .bind(&$call.recording_url)
            .bind($details)
            .bind($call.created_at)
            .bind($call.updated_at)
            .bind($call.scheduled_at)
            .bind($call.started_at)
            .bind($call.answered_at)
            .bind($call.ended_at)
            .bind($call.seen_at)
            .bind(&$call.request_key)
            .bind(&$call.call_type)
            .bind(&$call.account)
            .bind(&$call.callee)
            .bind($call.priority)
            .bind(&$call.blocked_by)
            .bind($call.disclosed_ms)
            .bind($call.due_at)
            .bind($call.version)
    };
}

pub(super) const CREATE: &str = "INSERT INTO calls \
     (tenant, id, project, provider, carrier_call_id, stream_id, session, direction, state, carrier_status, outcome, \
     hangup_reason, hangup_by, answered_by, attempt_number, error_message, agent, lead, business, consumer, initiator, \
     prompt_version, interest, summary_status, appointment_at, quote_micros, estimated_micros, actual_micros, cost_parts, \
     recording_url, details, created_at, updated_at, scheduled_at, started_at, answered_at, ended_at, seen_at, request_key, call_type, account, callee, \
     priority, blocked_by, disclosed_ms, due_at, version) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
     $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47) \
     ON CONFLICT DO NOTHING";

pub(super) const UPDATE: &str = "UPDATE calls SET project = $3, provider = $4, carrier_call_id = $5, stream_id = $6, session = $7, \
     direction = $8, state = $9, carrier_status = $10, outcome = $11, hangup_reason = $12, hangup_by = $13, \
     answered_by = $14, attempt_number = $15, error_message = $16, agent = $17, lead = $18, business = $19, \
     consumer = $20, initiator = $21, prompt_version = $22, interest = $23, summary_status = $24, appointment_at = $25, \
     quote_micros = $26, estimated_micros = $27, actual_micros = $28, cost_parts = $29, recording_url = $30, \
     details = $31, created_at = $32, updated_at = $33, scheduled_at = $34, started_at = $35, answered_at = $36, \
     ended_at = $37, seen_at = $38, request_key = $39, call_type = $40, account = $41, callee = $42, priority = $43, \
     blocked_by = $44, disclosed_ms = $45, due_at = $46, version = $47 + 1 \
     WHERE tenant = $1 AND id = $2 AND version = $47";
