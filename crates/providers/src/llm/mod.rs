//! Language models, one file per vendor.
//! Constructed by the catalog.
//! Never knows about sessions beyond the id that keys a prompt cache.

pub mod openai;
mod unconfigured;

pub use unconfigured::Unconfigured;
