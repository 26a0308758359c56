//! Takes out of a program's output the lines by which a script answers the runner.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use regex::bytes::Regex;

use crate::executor::{Error, Output, Result, Stream};

/// The longest answer: what a file of some megabytes needs in base64.
const MOST: usize = 64 << 20;

/// Passes everything on but lines that begin anywhere with the mark. The mark is made anew for each script.
pub(super) struct Sift<'a> {
    output: &'a dyn Output,
    mark: &'a str,
    pattern: Regex,
    streams: Mutex<[Half; 2]>,
}

/// One of the two streams.
#[derive(Default)]
struct Half {
    /// What may become the mark.
    held: Vec<u8>,
    /// The answer that is being read.
    open: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
}

impl<'a> Sift<'a> {
    pub(super) fn new(mark: &'a str, output: &'a dyn Output) -> Result<Self> {
        let pattern = Regex::new(&regex::escape(mark)).map_err(|error| Error::system("look for answers", error))?;
        Ok(Self {
            output,
            mark,
            pattern,
            streams: Mutex::default(),
        })
    }

    /// Passes on what was held back and gives the answer: its word and what follows it.
    pub(super) async fn finish(self) -> Option<(String, String)> {
        let [stdout, stderr] = self.streams.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut answer = None;
        for (stream, half) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            if !half.held.is_empty() {
                self.output.write(stream, &half.held).await;
            }
            answer = answer.or(half.answer).or(half.open);
        }
        let text = String::from_utf8_lossy(&answer?).into_owned();
        let text = text.trim_end_matches('\r');
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some((word.to_owned(), rest.to_owned()))
    }
}

impl Half {
    /// Takes a piece in and gives what is to be passed on.
    fn take(&mut self, bytes: &[u8], mark: &str, pattern: &Regex) -> Vec<u8> {
        let mut left = std::mem::take(&mut self.held);
        left.extend_from_slice(bytes);
        let mut passed = Vec::new();
        loop {
            if let Some(mut answer) = self.open.take() {
                let end = left.iter().position(|byte| *byte == b'\n');
                let length = end.unwrap_or(left.len());
                let room = MOST.saturating_sub(answer.len());
                answer.extend_from_slice(&left[..length.min(room)]);
                if end.is_none() {
                    self.open = Some(answer);
                    return passed;
                }
                self.answer.get_or_insert(answer);
                left.drain(..=length);
                continue;
            }
            let Some(found) = pattern.find(&left).map(|found| found.range()) else {
                break;
            };
            passed.extend_from_slice(&left[..found.start]);
            left.drain(..found.end);
            self.open = Some(Vec::new());
        }
        let held = (1..mark.len())
            .rev()
            .find(|length| left.ends_with(&mark.as_bytes()[..*length]))
            .unwrap_or(0);
        self.held = left.split_off(left.len() - held);
        if passed.is_empty() {
            left
        } else {
            passed.extend_from_slice(&left);
            passed
        }
    }
}

#[async_trait]
impl Output for Sift<'_> {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        let passed = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let half = &mut streams[usize::from(stream == Stream::Stderr)];
            half.take(bytes, self.mark, &self.pattern)
        };
        if !passed.is_empty() {
            self.output.write(stream, &passed).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Collected;

    #[tokio::test]
    async fn answers_are_taken_out_however_the_output_is_cut() {
        let whole = b"before\ntas tasuk\nabctasuki-1 answer {\"a\": 1}\nafter tasuki-";
        for size in 1..=whole.len() {
            let seen = Collected::default();
            let sift = Sift::new("tasuki-1 ", &seen).expect("is a mark");
            for piece in whole.chunks(size) {
                sift.write(Stream::Stdout, piece).await;
            }
            sift.write(Stream::Stderr, b"aside").await;
            let answer = sift.finish().await;
            assert_eq!(answer, Some(("answer".to_owned(), "{\"a\": 1}".to_owned())), "{size}");
            let stdout = String::from_utf8(seen.of(Stream::Stdout)).expect("is text");
            assert_eq!(stdout, "before\ntas tasuk\nabcafter tasuki-", "{size}");
            assert_eq!(seen.of(Stream::Stderr), b"aside");
        }
    }

    #[tokio::test]
    async fn output_without_an_answer_is_passed_on_whole() {
        let seen = Collected::default();
        let sift = Sift::new("tasuki-1 ", &seen).expect("is a mark");
        sift.write(Stream::Stdout, b"tasuki-1").await;
        assert_eq!(sift.finish().await, None);
        assert_eq!(seen.all(), b"tasuki-1");
    }
}
