//! How many dialogues are open, in all and from one network address.
//! Asked by the survey's edge before it lets a client in.
//! Never counts against this machine's own addresses, behind which any number of clients may be.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::lockout::network;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The server has as many dialogues as it may have.
    Server,
    /// The network address has.
    Address,
}

/// The places; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    limit: usize,
    limit_per_ip: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// The place of one dialogue.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    ip: Option<IpAddr>,
}

impl Places {
    /// `limit` in all, `limit_per_ip` for each address; 0 is no limit.
    pub(super) fn new(limit: usize, limit_per_ip: usize) -> Self {
        Self {
            taken: Arc::default(),
            limit,
            limit_per_ip,
        }
    }

    pub(super) fn take(&self, ip: Option<IpAddr>) -> Result<Place, Full> {
        let ip = ip
            .map(network)
            .filter(|ip| self.limit_per_ip > 0 && !ip.is_loopback());
        let mut taken = lock(&self.taken);
        if taken.all >= self.limit {
            return Err(Full::Server);
        }
        if let Some(ip) = ip {
            let of_ip = taken.by_ip.entry(ip).or_default();
            if *of_ip >= self.limit_per_ip {
                return Err(Full::Address);
            }
            *of_ip += 1;
        }
        taken.all += 1;
        Ok(Place {
            taken: Arc::clone(&self.taken),
            ip,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        let Some(ip) = self.ip else {
            return;
        };
        if let Some(of_ip) = taken.by_ip.get_mut(&ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                taken.by_ip.remove(&ip);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_gives_them_back() {
        let places = Places::new(4, 2);
        let ip = |text: &str| Some(text.parse().unwrap());
        let first = places.take(ip("2001:db8:1:2::1")).unwrap();
        let second = places.take(ip("2001:db8:1:2::2")).unwrap();
        let third = places.take(ip("2001:db8:1:2::3"));
        assert_eq!(third.unwrap_err(), Full::Address);
        let others = [places.take(ip("127.0.0.1")), places.take(None)];
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(places.take(ip("192.0.2.1")).unwrap_err(), Full::Server);
        drop(first);
        assert!(places.take(ip("2001:db8:1:2::3")).is_ok());
        drop((second, others));
        assert_eq!(lock(&places.taken).all, 0);
        assert!(lock(&places.taken).by_ip.is_empty());
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let places = Places::new(1000, 0);
        let ip = Some("192.0.2.1".parse().unwrap());
        let taken: Vec<Place> = (0..500).map(|_| places.take(ip).unwrap()).collect();
        assert!(lock(&places.taken).by_ip.is_empty());
        drop(taken);
    }
}
