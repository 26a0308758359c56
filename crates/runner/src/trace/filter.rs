//! What keeps secrets out of the log: the filters of one stream in their order.

use std::sync::Arc;

use super::masker::{Masker, Phrases};
use super::prefix::{PrefixFilter, Prefixes};
use super::query::QueryFilter;
use super::utf8::Utf8;

/// What stands in the place of a secret.
pub const MASK: &[u8] = b"[MASKED]";

/// What is secret in a job. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    phrases: Arc<Phrases>,
    prefixes: Arc<Prefixes>,
    words: Arc<[String]>,
}

impl Masks {
    /// Values of masked variables, and prefixes of tokens: the known ones (all, or only `glpat-`) and the server's.
    pub fn new<'a>(phrases: impl IntoIterator<Item = &'a str>, all_prefixes: bool, extra_prefixes: &[String]) -> Self {
        let words: Arc<[String]> = phrases.into_iter().map(str::to_owned).collect();
        Self {
            phrases: Arc::new(Phrases::new(words.iter().map(String::as_str))),
            prefixes: Arc::new(Prefixes::new(all_prefixes, extra_prefixes)),
            words,
        }
    }

    /// These, and one more secret.
    #[must_use]
    pub fn and(&self, secret: &str) -> Self {
        let words: Arc<[String]> = self.words.iter().cloned().chain([secret.to_owned()]).collect();
        Self {
            phrases: Arc::new(Phrases::new(words.iter().map(String::as_str))),
            prefixes: Arc::clone(&self.prefixes),
            words,
        }
    }
}

/// The filters of one stream.
#[derive(Debug, Default)]
pub struct Chain {
    masks: Masks,
    masker: Masker,
    query: QueryFilter,
    prefix: PrefixFilter,
    utf8: Utf8,
    spare: [Vec<u8>; 2],
}

impl Chain {
    /// A stream that starts here.
    #[must_use]
    pub fn new(masks: Masks) -> Self {
        Self {
            masks,
            ..Self::default()
        }
    }

    /// Takes bytes, appends what may be shown to `out`.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.spare[0].clear();
        self.masker.write(&self.masks.phrases, bytes, &mut self.spare[0]);
        self.pass_on(out);
    }

    /// The stream ends: what is held back comes out.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.spare[0].clear();
        self.masker.finish(&mut self.spare[0]);
        self.pass_on(out);
        self.utf8.finish(out);
        self.query = QueryFilter::default();
        self.prefix = PrefixFilter::default();
    }

    fn pass_on(&mut self, out: &mut Vec<u8>) {
        let [first, second] = &mut self.spare;
        second.clear();
        self.query.write(first, second);
        first.clear();
        self.prefix.write(&self.masks.prefixes, second, first);
        self.utf8.write(first, out);
    }
}
