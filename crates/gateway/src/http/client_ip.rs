//! From which network address somebody comes, also behind a proxy.
//! Asked by the rate limits and for the audit log.
//! Never believes a header of somebody who is not in `http.trusted_proxies`: anybody can write one.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

use crate::App;

/// Addresses looked at in one request; a longer chain of proxies is nobody's.
const HOPS: usize = 16;

/// The address that a request comes from; `None` where there is no connection, as in some tests.
pub(crate) fn client_ip(app: &App, parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let trusted = &app.config.http.trusted_proxies;
    Some(behind(peer.ip().to_canonical(), &parts.headers, trusted))
}

/// Whether a request comes from a trusted proxy: what that writes about the address it was called at is believed.
pub(crate) fn is_from_proxy(app: &App, parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip().to_canonical());
    let trusted = &app.config.http.trusted_proxies;
    peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer)))
}

/// Every proxy appends to `X-Forwarded-For` the address it was called from. Read from the end, the first address that
/// is not a trusted proxy's is the client's: what stands before it, the client may have written itself.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_proxy = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let mut nearest = peer;
    let values = headers.get_all("x-forwarded-for").into_iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(','));
    for hop in hops.take(HOPS) {
        if !is_proxy(nearest) {
            break;
        }
        match address(hop.trim()) {
            Some(ip) => nearest = ip,
            None => break,
        }
    }
    nearest
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse().ok();
    let ip = ip.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, headers: &[&str], trusted: &[&str]) -> String {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        behind(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_believed_nothing() {
        assert_eq!(seen("198.51.100.7", &["192.0.2.1"], &[]), "198.51.100.7");
        let others = ["10.0.0.0/8"];
        assert_eq!(
            seen("198.51.100.7", &["192.0.2.1"], &others),
            "198.51.100.7"
        );
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        let proxies = ["10.0.0.0/8", "2001:db8:f::/48"];
        for (headers, expected) in [
            (vec!["192.0.2.1"], "192.0.2.1"),
            (vec!["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (vec!["192.0.2.1, 10.9.9.9"], "192.0.2.1"),
            (vec!["6.6.6.6", "192.0.2.1 , 10.9.9.9"], "192.0.2.1"),
            (vec!["192.0.2.1:4711"], "192.0.2.1"),
            (vec!["[2001:db8::1]:4711, 2001:db8:f::2"], "2001:db8::1"),
            (vec!["[2001:db8::1]"], "2001:db8::1"),
            (vec!["::ffff:192.0.2.1"], "192.0.2.1"),
            (vec!["nobody, 10.9.9.9"], "10.9.9.9"),
            (vec!["unknown"], "10.0.0.1"),
            (vec![], "10.0.0.1"),
        ] {
            assert_eq!(
                seen("10.0.0.1", &headers, &proxies),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn an_endless_chain_ends() {
        let chain = vec!["10.1.1.1"; 1000].join(",");
        assert_eq!(seen("10.0.0.1", &[&chain], &["10.0.0.0/8"]), "10.1.1.1");
    }
}
