//! A connection on which a command may wait for something to happen.
//! Opened by readers of streams, one for each, because whatever is sent behind such a command waits as well.
//! Never waits longer than [`BLOCK_MS`] at a time, so that who stops is not kept waiting.

use redis::aio::PubSub;
use redis::cluster::ClusterConfig;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Value};

use super::{ANSWER_WITHIN, Away, CONNECT_WITHIN, Connection, Link, SEEK_WITHIN, Way};

/// How long one command waits, in ms.
pub(in crate::live) const BLOCK_MS: u64 = 500;

/// Such a connection.
pub(in crate::live) struct Waiting {
    connection: Connection,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Link {
    /// A connection of its own.
    pub(in crate::live) async fn waiting(&self) -> Result<Waiting, Away> {
        let within = ANSWER_WITHIN + std::time::Duration::from_millis(2 * BLOCK_MS);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(within));
        let connecting = async {
            redis::RedisResult::Ok(match &self.inner.way {
                Way::Node(client) => Connection::Node(
                    client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?,
                ),
                Way::Sentinel(client) => {
                    let mut client = client.lock().await;
                    Connection::Node(client.get_async_connection_with_config(&config).await?)
                }
                Way::Cluster(client, _) => {
                    let config = ClusterConfig::new()
                        .set_connection_timeout(CONNECT_WITHIN)
                        .set_response_timeout(within);
                    Connection::Cluster(client.get_async_connection_with_config(config).await?)
                }
            })
        };
        match tokio::time::timeout(SEEK_WITHIN, Box::pin(connecting)).await {
            Ok(Ok(connection)) => Ok(Waiting { connection }),
            _ => Err(Away),
        }
    }
}

impl Link {
    /// A connection that hears what is published.
    pub(in crate::live) async fn pubsub(&self) -> Result<PubSub, Away> {
        let connecting = async {
            match &self.inner.way {
                Way::Node(client) => client.get_async_pubsub().await,
                Way::Sentinel(client) => {
                    let primary = client.lock().await.async_get_client().await?;
                    primary.get_async_pubsub().await
                }
                // what is published at one node of a cluster is heard at all of them
                Way::Cluster(_, nodes) => {
                    let mut last = None;
                    for node in nodes {
                        match Client::open(node.clone())?.get_async_pubsub().await {
                            Ok(connected) => return Ok(connected),
                            Err(error) => last = Some(error),
                        }
                    }
                    Err(last.unwrap_or_else(|| (ErrorKind::Io, "there is no node").into()))
                }
            }
        };
        match tokio::time::timeout(SEEK_WITHIN, Box::pin(connecting)).await {
            Ok(Ok(connected)) => Ok(connected),
            _ => Err(Away),
        }
    }
}

impl Waiting {
    /// Sends a command that may wait. After an error the connection is of no more use.
    pub(in crate::live) async fn send<T: FromRedisValue>(
        &mut self,
        command: &Cmd,
    ) -> Result<T, Away> {
        self.connection.send(command).await.map_err(|_| Away)
    }

    /// The same, where an error that the server answers is told from silence: `None`.
    pub(in crate::live) async fn ask(&mut self, command: &Cmd) -> Result<Option<Value>, Away> {
        match self.connection.send(command).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code() == Some("NOGROUP") => Ok(None),
            Err(_) => Err(Away),
        }
    }
}
