//! Replaces secrets in a stream.
//!
//! An Aho-Corasick automaton over all phrases finds every occurrence, overlapping ones too; what they cover together
//! becomes one mask. So with `abc` and `bcdef` the text `abcdef` gives one mask and leaks neither `a` nor `def`.

use std::collections::{BTreeMap, VecDeque};

use super::filter::MASK;

/// The phrases, as an automaton. Shared by all streams of a job.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    nodes: Vec<Node>,
    /// Whether a byte starts a phrase: most text is skipped with this alone.
    starts: Vec<bool>,
}

#[derive(Debug, Default)]
struct Node {
    next: BTreeMap<u8, u32>,
    /// Longest proper suffix that is a prefix of a phrase.
    fail: u32,
    depth: usize,
    /// Length of the longest phrase that ends here; 0 = none.
    ends: usize,
}

impl Phrases {
    /// Phrases are trimmed of white space; empty ones are dropped.
    pub(super) fn new<'a>(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let mut automaton = Self {
            nodes: vec![Node::default()],
            starts: vec![false; 256],
        };
        for phrase in phrases {
            automaton.insert(phrase.trim().as_bytes());
        }
        automaton.link();
        automaton
    }

    fn insert(&mut self, phrase: &[u8]) {
        let Some(first) = phrase.first() else { return };
        self.starts[usize::from(*first)] = true;
        let mut at = 0_usize;
        for (index, byte) in phrase.iter().enumerate() {
            at = match self.nodes[at].next.get(byte) {
                Some(next) => *next as usize,
                None => {
                    let new = self.nodes.len();
                    self.nodes.push(Node {
                        depth: index + 1,
                        ..Node::default()
                    });
                    self.nodes[at].next.insert(*byte, u32::try_from(new).unwrap_or(0));
                    new
                }
            };
        }
        self.nodes[at].ends = phrase.len();
    }

    /// Breadth first, so that a node's fail link is known before its children's.
    fn link(&mut self) {
        let mut queue: VecDeque<usize> = self.nodes[0].next.values().map(|n| *n as usize).collect();
        while let Some(at) = queue.pop_front() {
            let children: Vec<(u8, usize)> = self.nodes[at].next.iter().map(|(b, n)| (*b, *n as usize)).collect();
            for (byte, child) in children {
                let fail = self.step(self.nodes[at].fail as usize, byte);
                self.nodes[child].fail = u32::try_from(fail).unwrap_or(0);
                self.nodes[child].ends = self.nodes[child].ends.max(self.nodes[fail].ends);
                queue.push_back(child);
            }
        }
    }

    fn step(&self, mut at: usize, byte: u8) -> usize {
        loop {
            if let Some(next) = self.nodes[at].next.get(&byte) {
                return *next as usize;
            }
            if at == 0 {
                return 0;
            }
            at = self.nodes[at].fail as usize;
        }
    }

    fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }
}

/// State of one stream.
#[derive(Debug, Default)]
pub(super) struct Masker {
    at: usize,
    /// Bytes that are not passed on yet.
    held: Vec<u8>,
    /// Found regions within `held`, in order, not overlapping.
    regions: VecDeque<(usize, usize)>,
}

impl Masker {
    /// Takes bytes, appends what is certain to `out`.
    pub(super) fn write(&mut self, phrases: &Phrases, bytes: &[u8], out: &mut Vec<u8>) {
        if phrases.is_empty() {
            out.extend_from_slice(bytes);
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.at == 0 && self.held.is_empty() {
                let plain = rest
                    .iter()
                    .position(|byte| phrases.starts[usize::from(*byte)])
                    .unwrap_or(rest.len());
                out.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if rest.is_empty() {
                    return;
                }
            }
            self.feed(phrases, rest[0]);
            rest = &rest[1..];
            self.release(self.held.len() - phrases.nodes[self.at].depth, out);
        }
    }

    /// Nothing more comes: what is held is passed on, found secrets masked.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(self.held.len(), out);
        self.at = 0;
    }

    fn feed(&mut self, phrases: &Phrases, byte: u8) {
        self.held.push(byte);
        self.at = phrases.step(self.at, byte);
        let ends = phrases.nodes[self.at].ends;
        if ends == 0 {
            return;
        }
        let end = self.held.len();
        // A phrase that ends here began within what is held: its beginning kept it from being released.
        let mut start = end.saturating_sub(ends);
        while let Some((from, to)) = self.regions.back().copied() {
            if to <= start {
                break;
            }
            start = start.min(from);
            self.regions.pop_back();
        }
        self.regions.push_back((start, end));
    }

    /// Passes on everything before `safe`: no later match can begin there.
    fn release(&mut self, safe: usize, out: &mut Vec<u8>) {
        let mut done = 0;
        while let Some((from, to)) = self.regions.front().copied() {
            if to > safe {
                break;
            }
            out.extend_from_slice(&self.held[done..from]);
            out.extend_from_slice(MASK);
            done = to;
            self.regions.pop_front();
        }
        let until = self.regions.front().map_or(safe, |(from, _)| safe.min(*from)).max(done);
        out.extend_from_slice(&self.held[done..until]);
        self.held.drain(..until);
        for region in &mut self.regions {
            region.0 -= until;
            region.1 -= until;
        }
    }
}
