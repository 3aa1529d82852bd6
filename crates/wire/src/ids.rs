//! Identifiers on the wire: a prefix and 21 base-62 characters, as the hosted Realtime service forms them.
//! Made by `engine` (which owns a seeded generator) and by `gateway`.
//! Never reads a clock or a source of randomness: the caller seeds it.

/// Characters after the prefix (spec/realtime §1.1, observed on the hosted service).
pub const ID_LENGTH: usize = 21;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A seeded generator of identifiers.
///
/// Ids must not collide and need not be secret: nothing is authorised by knowing one, so a fast
/// 128-bit mixer is enough. Secrets (API keys, `ek_…`) come from the operating system instead.
#[derive(Debug, Clone)]
pub struct Ids {
    state: u128,
}

impl Ids {
    /// Starts the sequence of `seed`; equal seeds give equal sequences (the simulator relies on it).
    pub fn seeded(seed: u128) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits of the sequence: splitmix64 over both halves of the state.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_add(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let mut z = (self.state >> 64) as u64 ^ (self.state as u64);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `prefix` followed by an underscore and 21 base-62 characters, for example `item_4f…`.
    pub fn next(&mut self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + 1 + ID_LENGTH);
        id.push_str(prefix);
        id.push('_');
        let mut bits = 0_u64;
        for position in 0..ID_LENGTH {
            if position % 10 == 0 {
                bits = self.next_u64();
            }
            id.push(char::from(ALPHABET[(bits % 62) as usize]));
            bits /= 62;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_hosted_form_and_do_not_repeat() {
        let mut ids = Ids::seeded(7);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100_000 {
            let id = ids.next("item");
            assert_eq!(id.len(), 5 + ID_LENGTH);
            assert!(id[5..].bytes().all(|b| b.is_ascii_alphanumeric()));
            assert!(seen.insert(id));
        }
    }
}
