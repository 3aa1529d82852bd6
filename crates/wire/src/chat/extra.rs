//! Messages of ours that a client of a chat room gets only when it asks for them.
//! Read from `?events=` of a connection's address by the chat edge.
//! Never anything that a client must know: those of the original warn at what they do not know.

/// A message that is sent to those who ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatExtra {
    /// `presence`: who is here, who comes and goes.
    Presence,
    /// `read`: who has read what.
    Read,
    /// `message_delta`: a machine's words as they come.
    Delta,
    /// `handover`: who answers from here on.
    Handover,
}

impl ChatExtra {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Presence, Self::Read, Self::Delta, Self::Handover];

    /// As it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Read => "read",
            Self::Delta => "message_delta",
            Self::Handover => "handover",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Those that a client has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChatExtras(u8);

impl ChatExtras {
    /// Reads names with commas between them; `all` is all of them.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let names = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        let mut asked = Self::default();
        for name in names {
            let mut known = ChatExtra::ALL.into_iter();
            asked.0 |= match name {
                "all" => known.fold(0, |all, event| all | event.bit()),
                _ => known.find(|event| event.name() == name).ok_or(name)?.bit(),
            };
        }
        Ok(asked)
    }

    /// Whether `event` was asked for.
    pub const fn has(self, event: ChatExtra) -> bool {
        self.0 & event.bit() != 0
    }
}
