//! Keys of a telephone: gathering those that are pressed, and pressing some ourselves.
//! Used by the telephone edge and by the agent's tool `send_dtmf`.
//! Never keeps more keys than were asked for.

/// Which key: `0` to `9`, `*`, `#`, or `A` to `D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u8);

/// A text that names no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A letter that is no key.
    #[error(
        "keys are 0 to 9, *, #, A to D, and w or , for a pause of half a second, W for one of a second"
    )]
    NotAKey,
    /// Nothing, or too much.
    #[error("name 1 to 64 keys and pauses")]
    Length,
}

/// Most keys and pauses sent at once.
const MOST: usize = 64;

impl Key {
    /// The key with this face.
    pub const fn of(face: char) -> Option<Self> {
        match face {
            '0'..='9' | '*' | '#' | 'A'..='D' => Some(Self(face as u8)),
            'a'..='d' => Some(Self((face as u8).to_ascii_uppercase())),
            _ => None,
        }
    }

    /// Its face.
    pub const fn face(self) -> char {
        self.0 as char
    }

    /// The two tones of which its sound is made, in Hz (ITU-T Q.23).
    pub const fn tones(self) -> (u16, u16) {
        let (row, column) = match self.0 {
            b'1' => (697, 1209),
            b'2' => (697, 1336),
            b'3' => (697, 1477),
            b'A' => (697, 1633),
            b'4' => (770, 1209),
            b'5' => (770, 1336),
            b'6' => (770, 1477),
            b'B' => (770, 1633),
            b'7' => (852, 1209),
            b'8' => (852, 1336),
            b'9' => (852, 1477),
            b'C' => (852, 1633),
            b'*' => (941, 1209),
            b'0' => (941, 1336),
            b'#' => (941, 1477),
            _ => (941, 1633),
        };
        (row, column)
    }
}

/// One of a row of keys to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// A key.
    Key(Key),
    /// A pause, in ms.
    Pause(u64),
}

/// The keys and pauses that a text such as `1w23#` means.
///
/// # Errors
/// [`KeysError`] for anything else.
pub fn presses(text: &str) -> Result<Vec<Press>, KeysError> {
    if text.is_empty() || text.len() > MOST {
        return Err(KeysError::Length);
    }
    let press = |face: char| match face {
        'w' | ',' => Ok(Press::Pause(500)),
        'W' => Ok(Press::Pause(1000)),
        _ => Key::of(face).map(Press::Key).ok_or(KeysError::NotAKey),
    };
    text.chars().map(press).collect()
}

/// How loud each of a key's two tones is: together they stay 6 dB below full scale.
const TONE_LEVEL: f32 = 0.25 * 32_767.0;

/// How long a key sounds, in ms.
const TONE_MS: u64 = 120;

/// Silence after a key, in ms. Menus that listen with half an ear need it long.
const GAP_MS: u64 = 300;

/// Adds the sound of a row of keys to `out`, for carriers that press none for us.
pub fn sound(presses: &[Press], rate: u32, out: &mut Vec<i16>) {
    let samples = |ms: u64| (ms * u64::from(rate) / 1000) as usize;
    for press in presses {
        let key = match press {
            Press::Pause(ms) => {
                out.extend(std::iter::repeat_n(0, samples(*ms)));
                continue;
            }
            Press::Key(key) => key,
        };
        let (low, high) = key.tones();
        let step = std::f32::consts::TAU / rate as f32;
        for n in 0..samples(TONE_MS) {
            let at = n as f32 * step;
            let tones = (at * f32::from(low)).sin() + (at * f32::from(high)).sin();
            out.push((TONE_LEVEL * tones) as i16);
        }
        out.extend(std::iter::repeat_n(0, samples(GAP_MS)));
    }
}

/// What is to be gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gather {
    /// The key that ends it, which is not part of what was gathered.
    pub terminator: Option<Key>,
    /// As many keys end it; at least one.
    pub most: usize,
    /// So long after a key without another ends it, in ms.
    pub between_ms: u64,
    /// So long without a first key ends it, in ms; without it, it waits for ever.
    pub first_ms: Option<u64>,
}

impl Default for Gather {
    /// Until `#`, 2 s without a key, or 32 keys.
    fn default() -> Self {
        Self {
            terminator: Some(Key(b'#')),
            most: 32,
            between_ms: 2000,
            first_ms: None,
        }
    }
}

/// What ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The terminator.
    Terminator,
    /// As many keys as there may be.
    Length,
    /// No further key in time.
    Time,
}

/// What was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// The faces of the keys.
    pub keys: String,
    /// What ended it.
    pub by: EndedBy,
}

/// Gathers keys, one row after the other.
#[derive(Debug, Clone)]
pub struct Collector {
    gather: Gather,
    keys: String,
    due_ms: Option<u64>,
}

impl Collector {
    /// Begins at `now_ms`.
    pub fn new(gather: Gather, now_ms: u64) -> Self {
        Self {
            gather,
            keys: String::with_capacity(gather.most.max(1)),
            due_ms: gather.first_ms.map(|first| now_ms.saturating_add(first)),
        }
    }

    /// A key is pressed.
    pub fn press(&mut self, key: Key, now_ms: u64) -> Option<Gathered> {
        if self.gather.terminator == Some(key) {
            return Some(self.end(EndedBy::Terminator));
        }
        self.keys.push(key.face());
        self.due_ms = Some(now_ms.saturating_add(self.gather.between_ms));
        (self.keys.len() >= self.gather.most).then(|| self.end(EndedBy::Length))
    }

    /// Nothing was pressed until `now_ms`.
    pub fn due(&mut self, now_ms: u64) -> Option<Gathered> {
        let due = self.due_ms.is_some_and(|due_ms| now_ms >= due_ms);
        due.then(|| self.end(EndedBy::Time))
    }

    /// When [`Self::due`] is to be asked.
    pub const fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    fn end(&mut self, by: EndedBy) -> Gathered {
        self.due_ms = None;
        let next = String::with_capacity(self.gather.most.max(1));
        Gathered {
            keys: std::mem::replace(&mut self.keys, next),
            by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(face: char) -> Key {
        Key::of(face).unwrap()
    }

    fn collect(gather: Gather, keys: &[(char, u64)]) -> (Vec<(String, EndedBy)>, Collector) {
        let mut collector = Collector::new(gather, 0);
        let mut got = Vec::new();
        for (face, at) in keys {
            got.extend(collector.due(*at));
            got.extend(collector.press(key(*face), *at));
        }
        let got = got.into_iter().map(|row| (row.keys, row.by)).collect();
        (got, collector)
    }

    #[test]
    fn a_terminator_a_pause_and_a_length_end_a_row() {
        let all = [
            ('1', 100),
            ('2', 900),
            ('#', 1500),
            ('3', 2000),
            ('4', 4000),
        ];
        let (got, mut collector) = collect(Gather::default(), &all);
        assert_eq!(
            got,
            [
                ("12".to_owned(), EndedBy::Terminator),
                ("3".to_owned(), EndedBy::Time)
            ]
        );
        assert_eq!(collector.due_ms(), Some(6000));
        assert_eq!(collector.due(5999), None);
        assert_eq!(collector.due(6000).unwrap().keys, "4");
        assert_eq!(collector.due(99_000), None);

        let pin = Gather {
            terminator: None,
            most: 4,
            first_ms: Some(5000),
            ..Gather::default()
        };
        let (got, _) = collect(pin, &[('9', 0), ('#', 1), ('*', 2), ('0', 3), ('1', 4)]);
        assert_eq!(got, [("9#*0".to_owned(), EndedBy::Length)]);
        let mut nothing = Collector::new(pin, 100);
        assert_eq!(nothing.due(5099), None);
        assert_eq!(nothing.due(5100).unwrap().keys, "");
        // the terminator alone is an answer too
        let (got, _) = collect(Gather::default(), &[('#', 0)]);
        assert_eq!(got, [(String::new(), EndedBy::Terminator)]);
    }

    #[test]
    fn a_row_of_keys_is_read_or_refused() {
        let row = presses("1w,Wd#").unwrap();
        let pauses = [Press::Pause(500), Press::Pause(500), Press::Pause(1000)];
        assert_eq!(row[0], Press::Key(key('1')));
        assert_eq!(row[1..4], pauses);
        assert_eq!(row[4..], [Press::Key(key('D')), Press::Key(key('#'))]);
        assert_eq!(presses("1x"), Err(KeysError::NotAKey));
        assert_eq!(presses(""), Err(KeysError::Length));
        assert_eq!(presses(&"1".repeat(65)), Err(KeysError::Length));
    }

    /// The share of a sound's energy at a frequency (Goertzel).
    fn share(samples: &[i16], rate: f32, frequency: u16) -> f32 {
        let turn = std::f32::consts::TAU * f32::from(frequency) / rate;
        let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let (sample, at) = (f32::from(*sample), n as f32 * turn);
            re += sample * at.cos();
            im += sample * at.sin();
            all += sample * sample;
        }
        2.0 * (re * re + im * im) / (all * samples.len() as f32)
    }

    #[test]
    fn keys_sound_like_their_two_tones() {
        for face in "0123456789*#ABCD".chars() {
            let mut sounds = Vec::new();
            sound(
                &[Press::Key(key(face)), Press::Pause(500)],
                8000,
                &mut sounds,
            );
            assert_eq!(sounds.len(), (120 + 300 + 500) * 8);
            let (low, high) = key(face).tones();
            for tone in [low, high] {
                let share = share(&sounds[..960], 8000.0, tone);
                assert!((0.45..0.55).contains(&share), "{face} {tone} {share}");
            }
            assert!(sounds[960..].iter().all(|sample| *sample == 0));
        }
    }
}
