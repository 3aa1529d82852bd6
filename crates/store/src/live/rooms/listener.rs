//! A connection that hears what is published.
//! Opened by the gateway's chat rooms, one for a process, and again when it breaks.
//! Never says anything but which channels it wants to hear.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};

use crate::live::link::{Away, Link};

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Channels named in one command.
const AT_ONCE: usize = 500;

/// Says which channels are to be heard.
pub struct Ears(PubSubSink);

/// What is published on them.
pub struct Heralds(PubSubStream);

/// Something that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub channel: String,
    /// What.
    pub payload: String,
}

impl std::fmt::Debug for Ears {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ears")
    }
}

impl std::fmt::Debug for Heralds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heralds")
    }
}

pub(super) async fn open(link: &Link) -> Result<(Ears, Heralds), Away> {
    let (ears, heralds) = link.pubsub().await?.split();
    Ok((Ears(ears), Heralds(heralds)))
}

impl Ears {
    /// Hears `channels` from now on: whatever is published after this is done reaches [`Heralds::next`].
    ///
    /// # Errors
    /// [`Away`]; the connection is of no more use.
    pub async fn open(&mut self, channels: &[String]) -> Result<(), Away> {
        for some in channels.chunks(AT_ONCE) {
            let asked = tokio::time::timeout(ANSWER_WITHIN, self.0.subscribe(some));
            asked.await.map_err(|_| Away)?.map_err(|_| Away)?;
        }
        Ok(())
    }

    /// Does not hear `channels` any more.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn close(&mut self, channels: &[String]) -> Result<(), Away> {
        for some in channels.chunks(AT_ONCE) {
            let asked = tokio::time::timeout(ANSWER_WITHIN, self.0.unsubscribe(some));
            asked.await.map_err(|_| Away)?.map_err(|_| Away)?;
        }
        Ok(())
    }

    /// Asks for a sign of life: a connection that breaks without a word would be silent for ever.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn ping(&mut self) -> Result<(), Away> {
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.0.ping::<redis::Value>());
        asked.await.map_err(|_| Away)?.map_err(|_| Away)?;
        Ok(())
    }
}

impl Heralds {
    /// The next that was published; `None` once the connection is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let message = self.0.next().await?;
            // what is no text, nobody of ours has published
            if let (Ok(payload), channel) = (message.get_payload(), message.get_channel_name()) {
                return Some(Heard {
                    channel: channel.to_owned(),
                    payload,
                });
            }
        }
    }
}
