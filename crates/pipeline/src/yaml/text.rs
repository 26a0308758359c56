//! Sharing of equal texts: a large configuration says `script` ten thousand times.

use std::hash::BuildHasher as _;

use super::Text;

/// Longer texts are rarely repeated and not worth a look.
const LONGEST: usize = 32;
const SLOTS: usize = 1024;

/// Remembers recent short texts. A text that falls on a taken slot replaces what is there: bounded, and no input
/// can make it slow.
#[derive(Debug)]
pub(super) struct Interner {
    slots: Vec<Option<Text>>,
    hash: foldhash::fast::RandomState,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            slots: vec![None; SLOTS],
            hash: foldhash::fast::RandomState::default(),
        }
    }
}

impl Interner {
    pub(super) fn text(&mut self, text: &str) -> Text {
        if text.len() > LONGEST {
            return Text::from(text);
        }
        let hash = self.hash.hash_one(text);
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits are used")]
        let slot = &mut self.slots[hash as usize % SLOTS];
        match slot {
            Some(known) if **known == *text => known.clone(),
            Some(_) | None => {
                let new = Text::from(text);
                *slot = Some(new.clone());
                new
            }
        }
    }
}
