//! Silence told by level alone, where that is certain, against a detector that is slow or deceived.
//! Called by the speech detector for every frame.
//! It never calls a frame voice; it only overrules a detector that does.
//!
//! Measured with earshot 1.2.2: after a voice ends it needs 80 to 100 ms in a quiet room and over
//! 400 ms in noise 25 dB below the voice to say so, and white noise that begins after digital
//! silence (an unmuted microphone) counts as voice at -45 to -30 dBFS for as long as it lasts.

/// How far below the speaker's own level a frame is silent, in decibels. Below the softest
/// consonants.
const BELOW_SPEECH_DB: f32 = 35.0;
/// How near the level of the room a frame is silent, in decibels. Frames of steady noise stay
/// within 2 dB of their mean.
const NEAR_ROOM_DB: f32 = 4.0;
/// How far the speaker must be above the room for the room's level to say anything, in decibels.
const SPEECH_ABOVE_ROOM_DB: f32 = 10.0;
/// What varies less than this over the whole memory is no speech, in decibels: syllables rise and
/// fall by 20 and more.
const STEADY_DB: f32 = 8.0;
/// How fast the level of the speaker is learnt upwards: the share of each voiced frame in the mean.
/// About 200 ms, so that a slammed door does not make the speaker's next words count as silence.
const LOUDER_SHARE: f32 = 0.08;
/// And downwards: about 500 ms, so that a word that fades out is still measured against its vowels.
const SOFTER_SHARE: f32 = 0.03;
/// Digital silence in decibels: one step of 16-bit audio.
const LOWEST_DBFS: f32 = -96.0;
/// The memory is 16 blocks of 6 frames: 1.5 s, which holds several syllables.
const BLOCKS: usize = 16;
const BLOCK_FRAMES: u32 = 6;

/// The level of the speaker and of the room, in decibels below full scale.
#[derive(Debug, Clone)]
pub struct Silence {
    // of this utterance only, because the next speaker may sit further away
    speech: Option<f32>,
    lowest: [f32; BLOCKS],
    highest: [f32; BLOCKS],
    block: usize,
    block_frames: u32,
}

impl Default for Silence {
    fn default() -> Self {
        // a room never heard is steady nowhere and below nothing
        Self {
            speech: None,
            lowest: [f32::INFINITY; BLOCKS],
            highest: [f32::INFINITY; BLOCKS],
            block: 0,
            block_frames: 0,
        }
    }
}

impl Silence {
    /// Takes the level of the next frame in decibels, and whether an utterance is under way. Says
    /// whether the frame is silent for certain.
    pub fn frame(&mut self, dbfs: f32, speaking: bool) -> bool {
        let dbfs = dbfs.max(LOWEST_DBFS);
        self.remember(dbfs);
        if !speaking {
            self.speech = None;
        }
        let room = self.lowest.iter().copied().fold(f32::INFINITY, f32::min);
        let loudest = self
            .highest
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        let near_room = dbfs < room + NEAR_ROOM_DB;
        let steady = loudest - room < STEADY_DB;
        match self.speech {
            Some(speech) => {
                dbfs < speech - BELOW_SPEECH_DB
                    || near_room && (steady || room < speech - SPEECH_ABOVE_ROOM_DB)
            }
            None => near_room && steady,
        }
    }

    /// Learns the level of the speaker from a frame that the detector hears voice in.
    pub fn voiced(&mut self, dbfs: f32) {
        let dbfs = dbfs.max(LOWEST_DBFS);
        self.speech = Some(self.speech.map_or(dbfs, |speech| {
            let share = if dbfs > speech {
                LOUDER_SHARE
            } else {
                SOFTER_SHARE
            };
            speech + (dbfs - speech) * share
        }));
    }

    fn remember(&mut self, dbfs: f32) {
        if self.block_frames == BLOCK_FRAMES {
            self.block = (self.block + 1) % BLOCKS;
            self.block_frames = 0;
        }
        let (low, high) = (&mut self.lowest[self.block], &mut self.highest[self.block]);
        if self.block_frames == 0 {
            (*low, *high) = (dbfs, dbfs);
        }
        *low = low.min(dbfs);
        *high = high.max(dbfs);
        self.block_frames += 1;
    }
}
