//! Who comes in and what they get.
