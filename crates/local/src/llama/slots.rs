//! Which conversation's tokens lie in which sequence of the shared context, as plain bookkeeping.
//! The generation loop asks where a prompt goes and how much of it is there already.
//! It never touches the model; the loop carries out what a [`Plan`] says.

/// Tokens worth copying from another conversation instead of evaluating them; below it the copy
/// is not worth a call.
const LEAST_COPY: usize = 8;

/// One sequence of the context.
#[derive(Debug)]
struct Slot<T> {
    /// The conversation whose tokens these are; empty when none.
    session: String,
    /// Tokens evaluated so far, in order.
    tokens: Vec<T>,
    busy: bool,
    last_used: u64,
}

/// Where a prompt goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The sequence to use.
    pub slot: usize,
    /// Tokens of the prompt that stay in that sequence; everything after them is to be removed.
    pub keep: usize,
    /// Another sequence that shares the prompt's beginning, and where the shared part ends: copy
    /// positions `keep..end` from it.
    pub copy: Option<(usize, usize)>,
}

impl Plan {
    /// Tokens that need no evaluation once the plan is carried out.
    pub(crate) fn cached(&self) -> usize {
        self.copy.map_or(self.keep, |(_, end)| end)
    }
}

/// All sequences.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    clock: u64,
}

impl<T: Copy + PartialEq> Slots<T> {
    pub(crate) fn new(count: usize) -> Self {
        let slot = || Slot {
            session: String::new(),
            tokens: Vec::new(),
            busy: false,
            last_used: 0,
        };
        Self {
            slots: std::iter::repeat_with(slot).take(count).collect(),
            clock: 0,
        }
    }

    /// Tokens evaluated in `slot`.
    pub(crate) fn tokens(&self, slot: usize) -> &[T] {
        &self.slots[slot].tokens
    }

    /// Notes that `tokens` were evaluated at the end of `slot`.
    pub(crate) fn extend(&mut self, slot: usize, tokens: &[T]) {
        self.slots[slot].tokens.extend_from_slice(tokens);
    }

    /// Cells in use, counting a token shared by two sequences twice: an upper bound.
    pub(crate) fn cells(&self) -> usize {
        self.slots.iter().map(|slot| slot.tokens.len()).sum()
    }

    /// Chooses and occupies a sequence for `prompt`; `None` when all are busy. At least one token
    /// of the prompt is left to evaluate, because the model answers from the last one.
    pub(crate) fn occupy(&mut self, session: &str, prompt: &[T]) -> Option<Plan> {
        let most = prompt.len().saturating_sub(1);
        let shared = |slot: &Slot<T>| common_prefix(&slot.tokens, prompt).min(most);
        let slot = self.choose(session)?;
        let own = &self.slots[slot];
        // another session's leftover is only worth what it shares
        let keep = shared(own);
        let copy = (self.slots.iter().map(shared).enumerate())
            .filter(|(other, end)| *other != slot && *end >= keep + LEAST_COPY)
            .max_by_key(|(_, end)| *end);
        self.clock += 1;
        let own = &mut self.slots[slot];
        session.clone_into(&mut own.session);
        own.busy = true;
        own.last_used = self.clock;
        own.tokens.clear();
        let plan = Plan { slot, keep, copy };
        own.tokens.extend_from_slice(&prompt[..plan.cached()]);
        Some(plan)
    }

    /// The session's own idle sequence, else an empty one, else the one unused for longest.
    fn choose(&self, session: &str) -> Option<usize> {
        let rank = |slot: &Slot<T>| {
            let own = !session.is_empty() && slot.session == session;
            (!own, !slot.tokens.is_empty(), slot.last_used)
        };
        (0..self.slots.len())
            .filter(|&at| !self.slots[at].busy)
            .min_by_key(|&at| rank(&self.slots[at]))
    }

    /// Frees a sequence; its tokens stay for the session's next prompt.
    pub(crate) fn release(&mut self, slot: usize) {
        self.slots[slot].busy = false;
    }

    /// Empties the idle sequence unused for longest and names it, to make room.
    pub(crate) fn evict(&mut self) -> Option<usize> {
        let (at, slot) = (self.slots.iter_mut().enumerate())
            .filter(|(_, slot)| !slot.busy && !slot.tokens.is_empty())
            .min_by_key(|(_, slot)| slot.last_used)?;
        slot.tokens.clear();
        slot.session.clear();
        Some(at)
    }
}

fn common_prefix<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(slots: &mut Slots<u32>, session: &str, prompt: &[u32]) -> Plan {
        let plan = slots.occupy(session, prompt).unwrap();
        slots.extend(plan.slot, &prompt[plan.cached()..]);
        plan
    }

    #[test]
    fn a_session_comes_back_to_its_own_tokens() {
        let mut slots = Slots::new(2);
        let first = filled(&mut slots, "a", &[1, 2, 3]);
        assert_eq!(
            first,
            Plan {
                slot: 0,
                keep: 0,
                copy: None
            }
        );
        slots.extend(0, &[9]);
        slots.release(0);
        let second = filled(&mut slots, "a", &[1, 2, 3, 9, 4, 5]);
        assert_eq!(
            second,
            Plan {
                slot: 0,
                keep: 4,
                copy: None
            }
        );
        assert_eq!(slots.tokens(0), [1, 2, 3, 9, 4, 5]);
    }

    #[test]
    fn what_changed_since_is_evaluated_again() {
        let mut slots = Slots::new(1);
        filled(&mut slots, "a", &[1, 2, 3, 4]);
        slots.release(0);
        assert_eq!(filled(&mut slots, "a", &[1, 2, 7, 8]).keep, 2);
        assert_eq!(slots.tokens(0), [1, 2, 7, 8]);
    }

    #[test]
    fn the_last_token_is_always_evaluated() {
        let mut slots = Slots::new(1);
        filled(&mut slots, "a", &[1, 2, 3]);
        slots.release(0);
        assert_eq!(filled(&mut slots, "a", &[1, 2, 3]).cached(), 2);
    }

    #[test]
    fn a_new_session_copies_the_shared_instructions_even_from_a_busy_one() {
        let mut slots = Slots::new(2);
        let instructions: Vec<u32> = (0..40).collect();
        filled(&mut slots, "a", &[&instructions[..], &[100]].concat());
        let plan = filled(&mut slots, "b", &[&instructions[..], &[200, 201]].concat());
        assert_eq!(
            plan,
            Plan {
                slot: 1,
                keep: 0,
                copy: Some((0, 40))
            }
        );
        assert_eq!(plan.cached(), 40);
        assert_eq!(slots.tokens(1).len(), 42);
    }

    #[test]
    fn busy_sequences_are_left_alone_and_the_oldest_idle_one_is_reused() {
        let mut slots = Slots::new(2);
        filled(&mut slots, "a", &[1]);
        filled(&mut slots, "b", &[2]);
        assert!(slots.occupy("c", &[3]).is_none());
        slots.release(1);
        slots.release(0);
        assert_eq!(filled(&mut slots, "c", &[3]).slot, 0);
    }

    #[test]
    fn eviction_takes_idle_sequences_oldest_first() {
        let mut slots = Slots::new(3);
        for session in ["a", "b", "c"] {
            filled(&mut slots, session, &[1, 2]);
        }
        slots.release(1);
        slots.release(0);
        assert_eq!(slots.cells(), 6);
        assert_eq!(slots.evict(), Some(0));
        assert_eq!(slots.evict(), Some(1));
        assert_eq!(slots.evict(), None);
        assert_eq!(slots.cells(), 2);
    }
}
