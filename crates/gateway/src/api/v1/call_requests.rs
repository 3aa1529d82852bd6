//! Asking for calls, and calling them off again: `POST /v1/calls` and `DELETE /v1/calls/{id}`.
//! Mounted by `api::v1`; takes a key that converses.
//! Never shows another tenant's call: it is answered like one that there is none of.

pub(super) mod cancel;
pub(super) mod create;
