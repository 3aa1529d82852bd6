//! `GET /v1/models` and `GET /v1/models/{id}` (spec/realtime §3.4).
//! Filled by the gateway from its catalog and alias tables.
//! Never says how a model is served: ids only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A model by the name clients use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// The name clients send as `model`.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix seconds when it became available here.
    pub created: i64,
    /// Who made it, or who serves it.
    pub owned_by: String,
}

impl Model {
    /// A model with the usual `object`.
    pub fn new(id: impl Into<String>, created: i64, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: "model".to_owned(),
            created,
            owned_by: owned_by.into(),
        }
    }
}

/// Every model of this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
}

impl ModelList {
    /// A list with the usual `object`.
    pub fn new(data: Vec<Model>) -> Self {
        Self {
            object: "list".to_owned(),
            data,
        }
    }
}
