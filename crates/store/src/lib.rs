//! Durable and shared state.
