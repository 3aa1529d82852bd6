//! Network addresses from which too many wrong keys came: nobody tries keys by the thousand.
//! Asked by `auth` before a key is looked at that is not known already; one per server.
//! Never keeps out a key that was right a moment ago, nor anybody on this machine itself, and never grows without bound.
//!
//! Each server counts for itself: a key has 256 random bits, and what this saves is the work of looking at wrong ones.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::guard::{Rate, Window};

/// Networks remembered; while all of them count, wrong keys from further ones are not counted.
const NETWORKS: usize = 50_000;

/// What a network address counts as: whoever has an IPv6 address has all with the same first 64 bits.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Failures {
    window: Window,
    locked_until_ms: u64,
}

/// Who has shown too many wrong keys.
#[derive(Debug)]
pub struct Lockout {
    rate: Option<Rate>,
    locked_ms: u64,
    networks: Mutex<HashMap<IpAddr, Failures>>,
}

impl Lockout {
    /// After `failures` within a minute a network is kept out for `locked_s` seconds; 0 failures: never.
    pub fn new(failures: u64, locked_s: u64) -> Self {
        Self {
            rate: (failures > 0).then(|| Rate::per_minute(failures)),
            locked_ms: locked_s * 1000,
            networks: Mutex::default(),
        }
    }

    /// For how many ms nobody from `ip` is listened to at `now_ms`, Unix time; `None` when anybody is.
    pub(crate) fn locked_ms(&self, ip: IpAddr, now_ms: u64) -> Option<u64> {
        self.rate?;
        let networks = self.lock();
        let left = networks.get(&network(ip))?;
        left.locked_until_ms
            .checked_sub(now_ms)
            .filter(|left| *left > 0)
    }

    /// Notes a wrong key from `ip`; says whether that was one too many.
    pub(crate) fn failed(&self, ip: IpAddr, now_ms: u64) -> bool {
        let Some(rate) = self.rate.filter(|_| !ip.to_canonical().is_loopback()) else {
            return false;
        };
        let mut networks = self.lock();
        if networks.len() >= NETWORKS && !networks.contains_key(&network(ip)) {
            let counts =
                |it: &Failures| it.locked_until_ms > now_ms || !it.window.is_idle(rate, now_ms);
            networks.retain(|_, failures| counts(failures));
            if networks.len() >= NETWORKS {
                return false;
            }
        }
        let failures = networks.entry(network(ip)).or_default();
        // so many are forgiven; the one after them is not
        if failures.window.take(rate, 1, now_ms).is_ok() {
            return false;
        }
        *failures = Failures {
            window: Window::default(),
            locked_until_ms: now_ms + self.locked_ms,
        };
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(ip(text)).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::1"));
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn too_many_wrong_keys_lock_their_network_out_and_no_other() {
        let lockout = Lockout::new(3, 900);
        let (one, same) = (ip("2001:db8:1:2::1"), ip("2001:db8:1:2::2"));
        for _ in 0..3 {
            assert!(!lockout.failed(one, 60_000));
        }
        assert_eq!(lockout.locked_ms(one, 60_000), None);
        assert!(lockout.failed(same, 60_000));
        assert_eq!(lockout.locked_ms(one, 61_000), Some(899_000));
        assert_eq!(lockout.locked_ms(ip("2001:db8:1:3::1"), 61_000), None);
        assert_eq!(lockout.locked_ms(one, 960_000), None);
        assert!(!lockout.failed(one, 960_000), "a new beginning");
    }

    #[test]
    fn wrong_keys_now_and_then_and_those_of_this_machine_lock_nobody_out() {
        let lockout = Lockout::new(3, 900);
        for minute in 0..100 {
            assert!(!lockout.failed(ip("192.0.2.7"), minute * 60_000));
            assert!(!lockout.failed(ip("127.0.0.1"), 0));
            assert!(!lockout.failed(ip("::ffff:127.0.0.1"), 0));
        }
        let never = Lockout::new(0, 900);
        assert!((0..100).all(|_| !never.failed(ip("192.0.2.7"), 0)));
    }

    #[test]
    fn the_table_stays_small() {
        let lockout = Lockout::new(1, 900);
        let nth = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..=NETWORKS as u32 {
            lockout.failed(nth(0x0a00_0000 + n), 0);
        }
        assert_eq!(lockout.lock().len(), NETWORKS);
        lockout.failed(nth(1), 600_000);
        assert_eq!(lockout.lock().len(), 1, "what does not count is forgotten");
    }
}
