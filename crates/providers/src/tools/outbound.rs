//! The way out for requests whose address somebody else has chosen: an agent's author, or a client.
//! Used by HTTP tools, MCP servers and webhooks.
//! Never connects to an address that is not public, whatever name stands for it, unless the operator has allowed it.
//!
//! The address is checked where the connection is made, after the name was resolved: a name that changes its meaning
//! between a check and the connection gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::http::CONNECT_TIMEOUT;

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// It is no address of the web.
    #[error("{0:?} is no http or https address")]
    Scheme(String),
    /// It holds a user name or a password, which would be shown with it.
    #[error("it holds a user name or a password; send them in a header")]
    UserInfo,
    /// It leads into a private network.
    #[error("{0} is not a public address; an operator can allow it with tools.allowed_hosts")]
    Private(String),
    /// The client cannot start.
    #[error("the http client cannot start: {0}")]
    Client(String),
}

/// Requests to addresses of somebody's choice; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    allowed: Arc<[String]>,
}

impl Outbound {
    /// Public addresses, and those hosts that the operator allows by name or address.
    ///
    /// # Errors
    /// [`OutboundError::Client`] when the platform's certificates cannot be read.
    pub fn new(allowed_hosts: &[String]) -> Result<Self, OutboundError> {
        let allowed: Arc<[String]> = allowed_hosts
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(PublicNames(Arc::clone(&allowed))))
            // a redirect would carry headers and secrets to an address that nobody has checked
            .redirect(reqwest::redirect::Policy::none())
            // an environment's proxy would make the connection, and nobody would check where to
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .tcp_nodelay(true)
            .user_agent(concat!("antiphon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| OutboundError::Client(error.to_string()))?;
        Ok(Self { client, allowed })
    }

    /// The client; ask [`Outbound::check`] first, because literal addresses are not resolved.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether an address may be asked, as far as it says so itself.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub fn check(&self, address: &Url) -> Result<(), OutboundError> {
        if !matches!(address.scheme(), "http" | "https") {
            return Err(OutboundError::Scheme(address.scheme().to_owned()));
        }
        if !address.username().is_empty() || address.password().is_some() {
            return Err(OutboundError::UserInfo);
        }
        let ip = match address.host() {
            None => return Err(OutboundError::Scheme(address.scheme().to_owned())),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        };
        let allowed = self.allowed.contains(&ip.to_string());
        if allowed || is_public(ip) {
            Ok(())
        } else {
            Err(OutboundError::Private(ip.to_string()))
        }
    }
}

/// Resolves names to public addresses.
struct PublicNames(Arc<[String]>);

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.contains(&name.as_str().to_ascii_lowercase());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> = found
                .filter(|address| allowed || is_public(address.ip()))
                .collect();
            if usable.is_empty() {
                return Err(OutboundError::Private(name.as_str().to_owned()).into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet (IANA special-purpose address registries, RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        // shared by carriers (RFC 6598), protocol assignments, benchmarks (RFC 2544)
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // addresses that carry a version 4 one: mapped, translated (RFC 6052), 6to4 (RFC 3056)
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // global unicast without protocol assignments (RFC 2928, Teredo among them) and documentation (RFC 3849)
    let global = segments[0] & 0xe000 == 0x2000;
    let assigned = segments[0] == 0x2001 && segments[1] < 0x200;
    let documentation = (segments[0] == 0x2001 && segments[1] == 0xdb8) || segments[0] == 0x3fff;
    global && !assigned && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001:0:1::",
            "::127.0.0.1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn literal_addresses_are_checked_however_they_are_written() {
        let outbound = Outbound::new(&["10.0.0.7".to_owned()]).unwrap();
        let checked = |address: &str| outbound.check(&Url::parse(address).unwrap());
        for inside in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]:80/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(
                matches!(checked(inside), Err(OutboundError::Private(_))),
                "{inside}"
            );
        }
        assert!(matches!(
            checked("file:///etc/passwd"),
            Err(OutboundError::Scheme(_))
        ));
        for named in ["https://ann@example.org/", "https://ann:pass@example.org/"] {
            assert_eq!(checked(named), Err(OutboundError::UserInfo));
        }
        checked("http://10.0.0.7:9000/").unwrap();
        checked("https://example.org/").unwrap();
    }

    #[tokio::test]
    async fn names_are_checked_where_they_are_resolved() {
        let refused = Outbound::new(&[]).unwrap();
        let error = refused
            .client()
            .get("http://localhost:9/")
            .send()
            .await
            .unwrap_err();
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        let mut told = String::new();
        while let Some(cause) = source {
            told.push_str(&cause.to_string());
            source = cause.source();
        }
        assert!(told.contains("not a public address"), "{told}");
        let allowed = Outbound::new(&["LocalHost".to_owned()]).unwrap();
        let error = allowed
            .client()
            .get("http://localhost:9/")
            .send()
            .await
            .unwrap_err();
        assert!(
            error.is_connect() && !format!("{error:?}").contains("not a public"),
            "{error:?}"
        );
    }
}
