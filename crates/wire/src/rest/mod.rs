//! Bodies of the REST interface, OpenAI's shapes and our own.
//! Used by `gateway::api`, the CLI and the document generator.
//! Never contains the realtime events: those are in `realtime`.
