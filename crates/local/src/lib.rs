//! Speech and language models on this machine.
