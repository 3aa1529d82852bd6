//! How a carrier's audio looks, and what carriers call it.
//! Read from a start by the dialects; asked by the edge for rates and silence.
//! Never touches a sample.

/// Mono audio without headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// G.711 µ-law at 8 kHz: what a carrier means when it says nothing.
    #[default]
    Mulaw8k,
    /// G.711 A-law at 8 kHz.
    Alaw8k,
    /// Signed 16-bit little-endian at 8 kHz.
    L16At8k,
    /// Signed 16-bit little-endian at 16 kHz.
    L16At16k,
    /// Signed 16-bit little-endian at 24 kHz.
    L16At24k,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Mulaw8k,
        Self::Alaw8k,
        Self::L16At8k,
        Self::L16At16k,
        Self::L16At24k,
    ];

    /// Samples a second.
    pub const fn rate_hz(self) -> u32 {
        match self {
            Self::Mulaw8k | Self::Alaw8k | Self::L16At8k => 8_000,
            Self::L16At16k => 16_000,
            Self::L16At24k => 24_000,
        }
    }

    /// One for G.711, two for linear samples.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Mulaw8k | Self::Alaw8k => 1,
            Self::L16At8k | Self::L16At16k | Self::L16At24k => 2,
        }
    }

    /// Bytes of one millisecond; exact, since every rate is a multiple of 1,000 Hz.
    pub const fn bytes_per_ms(self) -> usize {
        self.rate_hz() as usize / 1_000 * self.bytes_per_sample()
    }

    /// How long `bytes` sound, in milliseconds, rounded down.
    pub const fn duration_ms(self, bytes: usize) -> u64 {
        (bytes / self.bytes_per_ms()) as u64
    }

    /// The byte that silence is made of (spec/telephony §3.4).
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mulaw8k => 0xFF,
            Self::Alaw8k => 0xD5,
            Self::L16At8k | Self::L16At16k | Self::L16At24k => 0,
        }
    }

    /// The media type of the encoding as Twilio, `SignalWire` and Plivo write it, without a rate.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Mulaw8k => "audio/x-mulaw",
            Self::Alaw8k => "audio/x-alaw",
            Self::L16At8k | Self::L16At16k | Self::L16At24k => "audio/x-l16",
        }
    }

    /// What a carrier calls `encoding`, in any spelling that carriers use (`audio/x-mulaw`, `PCMU`, `L16@24000h`,
    /// `audio/l16;rate=16000`, `raw/slin`), at `rate_hz`; a rate inside the name counts when there is no other. `None` is
    /// a format that we cannot pass on: G.722, Opus, AMR-WB, or L16 at a rate not listed.
    pub fn named(encoding: &str, rate_hz: Option<u64>) -> Option<Self> {
        let lower = encoding.trim().to_ascii_lowercase();
        let mut parts = lower.split([';', '@']).map(str::trim);
        let name = parts.next().unwrap_or_default();
        let inner = parts.find_map(|part| {
            let digits = part.strip_prefix("rate=").unwrap_or(part);
            digits.trim_end_matches('h').parse::<u64>().ok()
        });
        let rate_hz = rate_hz.or(inner);
        let name = name.strip_prefix("audio/").unwrap_or(name);
        match name.strip_prefix("x-").unwrap_or(name) {
            "mulaw" | "ulaw" | "pcmu" | "g711_ulaw" => at_8k(Self::Mulaw8k, rate_hz),
            "alaw" | "pcma" | "g711_alaw" => at_8k(Self::Alaw8k, rate_hz),
            "l16" | "raw" | "raw/slin" | "pcm" | "linear16" | "base64" => {
                match rate_hz.unwrap_or(8_000) {
                    8_000 => Some(Self::L16At8k),
                    16_000 => Some(Self::L16At16k),
                    24_000 => Some(Self::L16At24k),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn at_8k(format: Format, rate_hz: Option<u64>) -> Option<Format> {
    matches!(rate_hz, None | Some(8_000)).then_some(format)
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn every_spelling_of_a_format_is_known() {
        let known = [
            ("audio/x-mulaw", Some(8_000), Format::Mulaw8k),
            ("audio/x-mulaw", None, Format::Mulaw8k),
            ("audio/x-mulaw;rate=8000", None, Format::Mulaw8k),
            ("PCMU@8000h", None, Format::Mulaw8k),
            ("PCMA", Some(8_000), Format::Alaw8k),
            ("audio/x-L16", Some(24_000), Format::L16At24k),
            ("L16@16000h", None, Format::L16At16k),
            ("audio/l16;rate=16000", None, Format::L16At16k),
            ("audio/l16; rate=24000", None, Format::L16At24k),
            ("audio/x-raw", Some(8_000), Format::L16At8k),
            ("raw/slin", None, Format::L16At8k),
            ("base64", Some(16_000), Format::L16At16k),
        ];
        for (name, rate, format) in known {
            assert_eq!(Format::named(name, rate), Some(format), "{name} {rate:?}");
        }
        for (name, rate) in [
            ("G722", Some(8_000)),
            ("OPUS", Some(16_000)),
            ("AMR-WB", None),
            ("", None),
            ("PCMU", Some(16_000)),
            ("L16", Some(44_100)),
        ] {
            assert_eq!(Format::named(name, rate), None, "{name} {rate:?}");
        }
    }

    #[test]
    fn twenty_milliseconds_have_their_bytes() {
        let bytes = Format::ALL.map(|format| format.bytes_per_ms() * 20);
        assert_eq!(bytes, [160, 160, 320, 640, 960]);
        assert_eq!(Format::L16At24k.duration_ms(970), 20);
        let silence = Format::ALL.map(Format::silence);
        assert_eq!(silence, [0xFF, 0xD5, 0, 0, 0]);
    }
}
