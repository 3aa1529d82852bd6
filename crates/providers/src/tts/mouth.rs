//! Hands speech to the session in slices, however a vendor cut it.
//! Used by every vendor that sends headerless 16-bit samples.
//! Never holds audio back, but for half a sample.

use engine::audio::pcm::PcmReader;
use tokio::sync::mpsc;

use crate::{ProviderError, ports::TtsEvent};

/// Slices per second of audio: 100 ms each, so that what is not yet sent can still be cut.
const SLICES_PER_SECOND: u32 = 10;

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Unheard;

/// Where a reply goes.
pub(super) struct Mouth {
    events: mpsc::Sender<TtsEvent>,
    rate_hz: u32,
    reader: PcmReader,
    samples: Vec<i16>,
    /// Whether the piece that is being spoken has been heard in part.
    pub(super) begun: bool,
}

impl Mouth {
    /// `rate_hz` is that of the vendor's samples.
    pub(super) fn new(events: mpsc::Sender<TtsEvent>, rate_hz: u32) -> Self {
        Self {
            events,
            rate_hz,
            reader: PcmReader::new(),
            samples: Vec::new(),
            begun: false,
        }
    }

    /// Ends when nobody listens any more.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let listener = self.events.clone();
        async move { listener.closed().await }
    }

    /// Hands out audio of a piece: little-endian bytes, cut anywhere.
    pub(super) async fn play(&mut self, index: u32, bytes: &[u8]) -> Result<(), Unheard> {
        self.samples.clear();
        self.reader.push(bytes, &mut self.samples);
        for samples in self
            .samples
            .chunks((self.rate_hz / SLICES_PER_SECOND) as usize)
        {
            self.begun = true;
            let event = TtsEvent::Audio {
                index,
                rate_hz: self.rate_hz,
                samples: samples.into(),
            };
            self.events.send(event).await.map_err(|_| Unheard)?;
        }
        Ok(())
    }

    /// Tells that a piece has been spoken whole.
    pub(super) async fn done(&mut self, index: u32) -> Result<(), Unheard> {
        // half a sample at the end of a piece is none
        self.reader.reset();
        self.begun = false;
        let event = TtsEvent::PieceDone { index };
        self.events.send(event).await.map_err(|_| Unheard)
    }

    /// Tells that no more speech will come.
    pub(super) async fn fail(&self, error: ProviderError) {
        // the session may have gone away meanwhile
        let _ = self.events.send(TtsEvent::Failed(error)).await;
    }
}
