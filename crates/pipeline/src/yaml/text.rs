//! Sharing of equal texts: a large configuration says `script` ten thousand times.

use std::collections::HashSet;

use super::Text;

/// Longer texts are rarely repeated and not worth a look-up.
const LONGEST: usize = 40;

#[derive(Debug, Default)]
pub(super) struct Interner {
    known: HashSet<Text>,
}

impl Interner {
    pub(super) fn text(&mut self, text: &str) -> Text {
        if text.len() > LONGEST {
            return Text::from(text);
        }
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let new = Text::from(text);
        self.known.insert(new.clone());
        new
    }
}
