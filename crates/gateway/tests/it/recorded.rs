//! What is said over the sockets of the doors, a line of JSON a frame, for the judge of `tests/clients` (`python/doors.py`).
//! Written by the clients of the stories, one file a connection, where `ANTIPHON_DOOR_RECORDINGS` names a folder.
//! Never looks at a frame: who wrote it does not decide whether it is right.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Names the folder.
const FOLDER: &str = "ANTIPHON_DOOR_RECORDINGS";

/// Files of this process; every test is a process of its own.
static FILES: AtomicUsize = AtomicUsize::new(0);

/// One connection.
#[derive(Debug)]
pub(crate) struct Recording(Option<File>);

impl Recording {
    /// A connection to this channel of the document.
    pub(crate) fn of(channel: &str) -> Self {
        let Some(folder) = std::env::var_os(FOLDER) else {
            return Self(None);
        };
        let (process, number) = (std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let name = format!("{process}-{number}.{channel}.jsonl");
        Self(Some(File::create(Path::new(&folder).join(name)).unwrap()))
    }

    /// A frame of the client's.
    pub(crate) fn said(&mut self, frame: &Message) {
        self.write("client", frame);
    }

    /// A frame of the server's.
    pub(crate) fn heard(&mut self, frame: &Message) {
        self.write("server", frame);
    }

    fn write(&mut self, side: &str, frame: &Message) {
        let Some(file) = &mut self.0 else {
            return;
        };
        let line: Value = match frame {
            Message::Text(text) => json!({ "dir": side, "text": text.as_str() }),
            Message::Binary(bytes) => json!({ "dir": side, "bytes": bytes.len() }),
            _ => return,
        };
        writeln!(file, "{line}").unwrap();
    }
}
