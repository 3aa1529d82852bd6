//! Where Redis is: one address for the three ways to run it.
//! Read by [`super::Link`], and by the gateway's configuration before anything is opened.
//! Never part of an error or a log line: it may hold a password.

use std::str::FromStr;

use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisResult, TlsMode};

/// Port of Redis where none is given.
const PORT: u16 = 6379;
/// Port of Sentinel where none is given.
const SENTINEL_PORT: u16 = 26379;

/// Why text is no address of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error(
        "an address that starts with redis://, rediss://, redis+sentinel:// or redis+cluster://"
    )]
    Scheme,
    /// No host, or a port that is none.
    #[error("hosts as HOST:PORT, several separated by commas")]
    Host,
    /// Sentinel without the name that it watches the primary under.
    #[error(
        "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE with the name of the service, such as mymaster"
    )]
    Service,
    /// The client takes none of it.
    #[error("an address such as redis://:PASSWORD@HOST:6379/0")]
    Unusable,
}

/// How to reach Redis.
#[derive(Debug)]
pub(super) enum Target {
    Node(Box<ConnectionInfo>),
    Sentinel(Box<Sentinel>),
    Cluster(Vec<ConnectionInfo>),
}

/// Sentinels, and what they are asked for.
#[derive(Debug)]
pub(super) struct Sentinel {
    hosts: Vec<(String, u16)>,
    service: String,
    /// How the server that they name is talked to.
    server: ConnectionInfo,
    tls: bool,
}

impl Sentinel {
    pub(super) fn open(self) -> RedisResult<SentinelClient> {
        let hosts = self.hosts.into_iter();
        let hosts = hosts.map(|(host, port)| ConnectionAddr::Tcp(host, port));
        let mut builder =
            SentinelClientBuilder::new(hosts, self.service, SentinelServerType::Master)?;
        let server = self.server.redis_settings();
        builder = builder.set_client_to_redis_db(server.db());
        if let Some(username) = server.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = server.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        builder.build()
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
        let node = |url: String| {
            url.into_connection_info()
                .map_err(|_| AddressError::Unusable)
        };
        let (protocol, kind) = match scheme.split_once('+') {
            Some((protocol @ ("redis" | "rediss"), kind @ ("sentinel" | "cluster"))) => {
                (protocol, kind)
            }
            None if matches!(scheme, "redis" | "rediss") => {
                return Ok(Self::Node(Box::new(node(url.to_owned())?)));
            }
            _ => return Err(AddressError::Scheme),
        };
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let user = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if kind == "cluster" {
            let nodes = hosts_of(hosts, PORT)?
                .into_iter()
                .map(|(host, port)| node(format!("{protocol}://{user}{}", joined(&host, port))));
            return Ok(Self::Cluster(nodes.collect::<Result<_, _>>()?));
        }
        let (service, database) = path.split_once('/').unwrap_or((path, "0"));
        if service.is_empty() {
            return Err(AddressError::Service);
        }
        Ok(Self::Sentinel(Box::new(Sentinel {
            hosts: hosts_of(hosts, SENTINEL_PORT)?,
            service: service.to_owned(),
            server: node(format!("{protocol}://{user}localhost/{database}"))?,
            tls: protocol == "rediss",
        })))
    }
}

/// `HOST:PORT,HOST:PORT`; an IPv6 address stands in brackets.
fn hosts_of(hosts: &str, port: u16) -> Result<Vec<(String, u16)>, AddressError> {
    let host_of = |text: &str| {
        let authority: Result<(String, u16), AddressError> = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => port
                .parse()
                .map(|port| (host.to_owned(), port))
                .map_err(|_| AddressError::Host),
            _ => Ok((text.to_owned(), port)),
        };
        let (host, port) = authority?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(AddressError::Host);
        }
        Ok((host.to_owned(), port))
    };
    hosts.split(',').map(host_of).collect()
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Target, AddressError> {
        url.parse()
    }

    #[test]
    fn every_way_to_run_redis_has_an_address() {
        assert!(matches!(
            read("redis://:secret@10.0.0.1/2"),
            Ok(Target::Node(_))
        ));
        assert!(matches!(
            read("rediss://redis.example:6380"),
            Ok(Target::Node(_))
        ));
        let Ok(Target::Cluster(nodes)) = read("redis+cluster://u:p@a:7001,b,[::1]:7003") else {
            panic!("a cluster");
        };
        let nodes: Vec<_> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(nodes, ["a:7001", "b:6379", "::1:7003"]);
        let Ok(Target::Sentinel(sentinel)) =
            read("redis+sentinel://user:p%40ss@a,b:26380/mymaster/3")
        else {
            panic!("sentinels");
        };
        assert_eq!(
            sentinel.hosts,
            [("a".to_owned(), 26379), ("b".to_owned(), 26380)]
        );
        assert_eq!(sentinel.service, "mymaster");
        let server = sentinel.server.redis_settings();
        assert_eq!((server.password(), server.db()), (Some("p@ss"), 3));
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for (url, error) in [
            ("localhost:6379", AddressError::Scheme),
            ("http://localhost", AddressError::Scheme),
            ("redis+other://localhost", AddressError::Scheme),
            ("redis+cluster://a:port", AddressError::Host),
            ("redis+cluster://", AddressError::Host),
            ("redis+sentinel://a:1", AddressError::Service),
            ("redis://a:port", AddressError::Unusable),
        ] {
            assert_eq!(read(url).unwrap_err(), error, "{url}");
        }
    }
}
