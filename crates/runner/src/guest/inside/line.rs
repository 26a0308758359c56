//! The line: a container's own input and output, over which the runner lets `guest hold` start programs.
//!
//! An engine takes about a tenth of a second to bring a process into a container from outside. The one that holds the
//! container open is there already, so it is asked to start [`super::work`] as its child, and passes on what is said.
//!
//! **To the guest**: [`OPENING`], a mark of [`MARK`] bytes, then frames: one byte of kind ([`Told`]), four of the program's
//! number, four of length (little endian), the bytes. What stands before the opening is skipped: it may be the line that the
//! guest itself was started by.
//!
//! **To the runner**: frames of the mark, one byte of kind ([`Said`]), four of the program's number, two of length, the
//! bytes. Others have the same output: what an entrypoint left in the background. A frame is no longer than what a pipe
//! takes as a whole, so theirs stands between two frames, never in one. The first frame holds every byte there is, so that
//! an output that is filtered on its way is noticed before anything depends on it.
//!
//! When the input ends, the inputs of all programs end, and so do they.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::process::Binary;

/// Begins what the runner says.
pub(crate) const OPENING: &[u8] = b"\0tasuki-line ";

/// Length of the mark.
pub(crate) const MARK: usize = 16;

/// A pipe takes so much as a whole (`PIPE_BUF` of Linux).
const WHOLE: usize = 4096;

/// Head of a frame to the runner.
const HEAD: usize = MARK + 1 + 4 + 2;

/// The longest piece of input in one frame.
pub(crate) const MAX_INPUT: usize = 64 << 10;

/// How long it is waited where somebody made the shared channels such as do not block.
const FULL: Duration = Duration::from_millis(2);

/// Kinds of frames to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Told {
    /// Start a program, as `uid:gid`, or as whoever holds the container where that is empty.
    Begin = 1,
    /// Bytes of a program's input.
    Input = 2,
}

impl Told {
    /// A frame of this kind.
    pub(crate) fn frame(self, number: u32, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut frame = vec![self as u8];
        frame.extend(number.to_le_bytes());
        frame.extend(length.to_le_bytes());
        frame.extend_from_slice(bytes);
        frame
    }
}

/// Kinds of frames to the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Said {
    /// The opening was read: [`every_byte`].
    Heard = 1,
    /// Bytes of a program's output.
    Output = 2,
    /// A program's output ended.
    Ended = 3,
    /// A program could not be started: why.
    Failed = 4,
}

impl Said {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Heard),
            2 => Some(Self::Output),
            3 => Some(Self::Ended),
            4 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What the first frame holds.
pub(crate) fn every_byte() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// What came of a container's output.
#[derive(Debug)]
pub(crate) struct Hearing {
    mark: [u8; MARK],
    bytes: Vec<u8>,
    /// Given out, or nobody's.
    used: usize,
}

impl Hearing {
    pub(crate) fn new(mark: [u8; MARK]) -> Self {
        Self {
            mark,
            bytes: Vec::new(),
            used: 0,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, once it is whole: kind, program, bytes. What others print is left out.
    pub(crate) fn take(&mut self) -> Option<(Said, u32, &[u8])> {
        loop {
            let rest = &self.bytes[self.used..];
            let at = rest.windows(MARK).position(|window| window == self.mark);
            let Some(at) = at else {
                // All but what may be the beginning of a mark.
                self.used += rest.len().saturating_sub(MARK - 1);
                return None;
            };
            self.used += at;
            let rest = &self.bytes[self.used..];
            let head: &[u8; HEAD] = rest.first_chunk()?;
            let [kind, a, b, c, d, low, high] = *head.last_chunk::<7>()?;
            let Some(kind) = Said::of(kind) else {
                self.used += MARK;
                continue;
            };
            let length = usize::from(u16::from_le_bytes([low, high]));
            if rest.len() < HEAD + length {
                return None;
            }
            let start = self.used + HEAD;
            self.used = start + length;
            return Some((kind, u32::from_le_bytes([a, b, c, d]), &self.bytes[start..self.used]));
        }
    }
}

/// Listens on standard input from now on. Where nobody opens the line, nothing happens.
pub(super) fn listen() -> io::Result<()> {
    let input = Input(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    std::thread::Builder::new()
        .name("line".to_owned())
        .spawn(move || serve(input, output))
        .map(drop)
}

/// Until the input ends.
fn serve(mut input: Input, output: OwnedFd) -> io::Result<()> {
    let mark = opening(&mut input)?;
    let voice = Arc::new(Voice {
        mark,
        output: Mutex::new(File::from(output)),
    });
    voice.say(Said::Heard, 0, &every_byte())?;
    let programs = Programs::default();
    loop {
        let mut head = [0; 9];
        input.read_exact(&mut head)?;
        let [kind, a, b, c, d, e, f, g, h] = head;
        let number = u32::from_le_bytes([a, b, c, d]);
        let length = u32::from_le_bytes([e, f, g, h]) as usize;
        if length > MAX_INPUT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too long"));
        }
        let mut bytes = vec![0; length];
        input.read_exact(&mut bytes)?;
        if kind == Told::Begin as u8 {
            if let Err(error) = begin(number, &bytes, &voice, &programs) {
                let message: String = error.to_string().chars().take(1000).collect();
                voice.say(Said::Failed, number, message.as_bytes())?;
            }
        } else if let Some(program) = programs.lock().get_mut(&number) {
            // One that is gone is seen by the end of its output.
            let _ = program.write_all(&bytes);
        }
    }
}

/// Reads up to the opening; the mark behind it.
fn opening(input: &mut Input) -> io::Result<[u8; MARK]> {
    let mut last = Vec::new();
    while !last.ends_with(OPENING) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        if last.len() == OPENING.len() {
            last.remove(0);
        }
        last.push(byte[0]);
    }
    let mut mark = [0; MARK];
    input.read_exact(&mut mark)?;
    Ok(mark)
}

/// Inputs of the programs that run. Dropping one ends its program.
#[derive(Clone, Default)]
struct Programs(Arc<Mutex<HashMap<u32, ChildStdin>>>);

impl Programs {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, ChildStdin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(number: u32, who: &[u8], voice: &Arc<Voice>, programs: &Programs) -> io::Result<()> {
    let binary = Binary::inside();
    let (program, before) = binary.command();
    #[expect(
        clippy::disallowed_methods,
        reason = "what it starts is the door itself, which ends with its input"
    )]
    let mut command = std::process::Command::new(program);
    command.args(before).args(["guest", "inside"]);
    // A library that the image wants in every program is none of ours.
    command.env("LD_PRELOAD", "").current_dir("/");
    if let Some((uid, gid)) = parse(who)? {
        // Without further groups: the standard library drops root's.
        command.uid(uid).gid(gid);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let channels = child.stdin.take().zip(child.stdout.take());
    let (input, output) = channels.ok_or_else(|| io::Error::other("it has no channels"))?;
    programs.lock().insert(number, input);
    let (voice, programs) = (Arc::clone(voice), programs.clone());
    let pass_on = move || {
        let passed = pass_on(number, output, &voice);
        programs.lock().remove(&number);
        passed.and_then(|()| voice.say(Said::Ended, number, &[]))
    };
    std::thread::Builder::new()
        .name("program".to_owned())
        .spawn(pass_on)
        .map(drop)
}

/// `uid:gid`; nothing: whoever we are.
fn parse(who: &[u8]) -> io::Result<Option<(u32, u32)>> {
    let text = std::str::from_utf8(who).map_err(io::Error::other)?;
    if text.is_empty() {
        return Ok(None);
    }
    let ids = text
        .split_once(':')
        .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    ids.map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the user is not uid:gid"))
}

fn pass_on(number: u32, mut output: ChildStdout, voice: &Voice) -> io::Result<()> {
    let mut buffer = [0; WHOLE - HEAD];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => voice.say(Said::Output, number, &buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The container's output.
struct Voice {
    mark: [u8; MARK],
    output: Mutex<File>,
}

impl Voice {
    /// Says at most `WHOLE - HEAD` bytes, in one piece.
    fn say(&self, kind: Said, number: u32, bytes: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(HEAD + bytes.len());
        frame.extend_from_slice(&self.mark);
        frame.push(kind as u8);
        frame.extend(number.to_le_bytes());
        frame.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes());
        frame.extend_from_slice(bytes);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match output.write_all(&frame) {
                // As a whole or not at all.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL),
                other => return other,
            }
        }
    }
}

/// The container's input.
struct Input(File);

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL),
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKED: [u8; MARK] = *b"0123456789abcdef";

    fn said(kind: u8, number: u32, bytes: &[u8]) -> Vec<u8> {
        let mut frame = MARKED.to_vec();
        frame.push(kind);
        frame.extend(number.to_le_bytes());
        frame.extend(u16::try_from(bytes.len()).expect("is short").to_le_bytes());
        frame.extend_from_slice(bytes);
        frame
    }

    #[test]
    fn frames_are_heard_between_what_others_print() {
        let mut whole = b"0123456789 a daemon says hello\n".to_vec();
        whole.extend(said(1, 0, &every_byte()));
        whole.extend(said(2, 7, b"0123456789abcde"));
        whole.extend(b"noise 0123456789abcde");
        whole.extend(said(9, 7, b"no kind"));
        whole.extend(said(2, 8, b""));
        whole.extend(said(3, 7, b""));
        whole.extend(said(4, 9, b"why"));
        for size in [1, 2, 3, 5, 16, 17, 64, whole.len()] {
            let (mut hearing, mut found) = (Hearing::new(MARKED), Vec::new());
            for piece in whole.chunks(size) {
                hearing.feed(piece);
                while let Some((kind, number, bytes)) = hearing.take() {
                    found.push((kind, number, bytes.to_vec()));
                }
            }
            let wanted = [
                (Said::Heard, 0, every_byte()),
                (Said::Output, 7, b"0123456789abcde".to_vec()),
                (Said::Output, 8, Vec::new()),
                (Said::Ended, 7, Vec::new()),
                (Said::Failed, 9, b"why".to_vec()),
            ];
            assert_eq!(found, wanted, "{size}");
        }
    }

    #[test]
    fn a_frame_fits_into_a_pipe_as_a_whole() {
        assert_eq!(said(2, 1, &[0; WHOLE - HEAD]).len(), WHOLE);
        assert!(every_byte().len() <= WHOLE - HEAD);
    }

    #[test]
    fn users_are_two_numbers_or_nobody() {
        assert_eq!(parse(b"").ok(), Some(None));
        assert_eq!(parse(b"1000:29").ok(), Some(Some((1000, 29))));
        for text in ["1000", "a:b", "-1:0", "1:2:3", "99999999999:0"] {
            parse(text.as_bytes()).expect_err(text);
        }
    }
}
