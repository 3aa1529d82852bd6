//! Speech and language vendors behind four traits.
