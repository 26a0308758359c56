//! Passes frames between the two connections of a terminal.

use std::io;
use std::time::Duration;

use tasuki_proto::terminal::{Frame, Receiver, Sender};
use tokio::io::{AsyncRead, AsyncWrite, split};

/// How long a last word may take to be written.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Why a terminal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The shell ended with this code.
    Exit(i32),
    /// One of the ends closed it and said why.
    Closed(String),
    /// The person's connection is gone.
    PersonGone,
    /// The runner's connection is gone.
    RunnerGone,
    /// From outside, for this reason.
    Over(String),
}

/// Passes frames both ways until one end says its last word, a connection breaks, or `over` resolves with a reason.
/// Whoever has not heard the last word by then is told it. Frames are never cut.
pub async fn relay<P, R>(person: P, runner: R, over: impl Future<Output = String>) -> Ended
where
    P: AsyncRead + AsyncWrite,
    R: AsyncRead + AsyncWrite,
{
    let (person, to_person) = split(person);
    let (runner, to_runner) = split(runner);
    let (mut person, mut to_person) = (Receiver::new(person), Sender::new(to_person));
    let (mut runner, mut to_runner) = (Receiver::new(runner), Sender::new(to_runner));
    let ended = {
        // Each direction for itself: one that is held up must not hold up the other.
        let up = pass(&mut person, &mut to_runner);
        let down = pass(&mut runner, &mut to_person);
        tokio::select! {
            stopped = up => match stopped {
                Stopped::Last(frame) => of_last(frame),
                Stopped::From => Ended::PersonGone,
                Stopped::To => Ended::RunnerGone,
            },
            stopped = down => match stopped {
                Stopped::Last(frame) => of_last(frame),
                Stopped::From => Ended::RunnerGone,
                Stopped::To => Ended::PersonGone,
            },
            reason = over => Ended::Over(reason),
        }
    };
    let word = match &ended {
        Ended::Exit(code) => Frame::Exit(*code),
        Ended::Closed(text) | Ended::Over(text) => Frame::Closed(text.clone()),
        Ended::PersonGone => Frame::Closed("the person has gone".to_owned()),
        Ended::RunnerGone => Frame::Closed("the connection to the runner broke".to_owned()),
    };
    let goodbye = async { tokio::join!(to_person.finish(&word), to_runner.finish(&word)) };
    // Who does not read any more misses it.
    let _ = tokio::time::timeout(LAST_WORD, goodbye).await;
    ended
}

fn of_last(frame: Frame) -> Ended {
    match frame {
        Frame::Exit(code) => Ended::Exit(code),
        Frame::Closed(text) => Ended::Closed(text),
        Frame::Data(_) | Frame::Resize { .. } | Frame::Start(_) => Ended::RunnerGone,
    }
}

/// Why one direction stopped.
enum Stopped {
    /// With this last frame, which was not passed on.
    Last(Frame),
    From,
    To,
}

async fn pass<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(from: &mut Receiver<R>, to: &mut Sender<W>) -> Stopped {
    loop {
        let frame = match from.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Stopped::From,
            Err(broken) => {
                if broken.kind() == io::ErrorKind::InvalidData {
                    tracing::warn!(error = %broken, "a terminal's connection does not speak the protocol");
                }
                return Stopped::From;
            }
        };
        match frame {
            Frame::Exit(_) | Frame::Closed(_) => return Stopped::Last(frame),
            Frame::Data(_) | Frame::Resize { .. } | Frame::Start(_) => {
                if to.send(&frame).await.is_err() {
                    return Stopped::To;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    /// What each end hears after the other did `frames`, and how the terminal ended.
    async fn check(from_person: &[Frame], from_runner: &[Frame], person: &[Frame], runner: &[Frame], ended: Ended) {
        let (near, their_person) = duplex(1 << 20);
        let (far, their_runner) = duplex(1 << 20);
        let (mut person_reads, person_writes) = split(their_person);
        let (mut runner_reads, runner_writes) = split(their_runner);
        let (mut person_writes, mut runner_writes) = (Sender::new(person_writes), Sender::new(runner_writes));
        for frame in from_person {
            person_writes.send(frame).await.unwrap();
        }
        let relaying = relay(near, far, std::future::pending());
        let heard = async {
            // The runner speaks when everything typed has come.
            let mut hears = Receiver::new(&mut runner_reads);
            for frame in from_person.iter().filter(|f| !matches!(f, Frame::Closed(_))) {
                assert_eq!(hears.next().await.unwrap().as_ref(), Some(frame));
            }
            for frame in from_runner {
                runner_writes.send(frame).await.unwrap();
            }
            let mut all = Vec::new();
            person_reads.read_to_end(&mut all).await.unwrap();
            let mut rest = Vec::new();
            while let Some(frame) = hears.next().await.unwrap() {
                rest.push(frame);
            }
            (all, rest)
        };
        let (how, (all, rest)) = tokio::join!(relaying, heard);
        let mut decoder = tasuki_proto::terminal::Decoder::new();
        decoder.push(&all);
        let heard: Vec<Frame> = std::iter::from_fn(|| decoder.take().unwrap()).collect();
        assert_eq!((how, heard.as_slice(), rest.as_slice()), (ended, person, runner));
    }

    #[tokio::test]
    async fn frames_go_both_ways_until_the_last_word() {
        let data = |text: &'static str| Frame::Data(Bytes::from_static(text.as_bytes()));
        let exit = Frame::Exit(7);
        check(
            &[Frame::Start(tasuki_proto::terminal::Start::default()), data("ls\n")],
            &[data("a b"), exit.clone()],
            &[data("a b"), exit.clone()],
            &[exit],
            Ended::Exit(7),
        )
        .await;
        let closed = [Frame::Closed("the job has ended".to_owned())];
        check(
            &[],
            &closed,
            &closed,
            &closed,
            Ended::Closed("the job has ended".to_owned()),
        )
        .await;
    }

    #[tokio::test]
    async fn who_is_left_is_told() {
        let (near, person) = duplex(1 << 10);
        let (far, runner) = duplex(1 << 10);
        drop(runner);
        let ended = relay(near, far, std::future::pending()).await;
        assert_eq!(ended, Ended::RunnerGone);
        let told = Receiver::new(person).next().await.unwrap();
        assert_eq!(
            told,
            Some(Frame::Closed("the connection to the runner broke".to_owned()))
        );

        let (near, person) = duplex(1 << 10);
        let (far, runner) = duplex(1 << 10);
        let over = std::future::ready("the server is shutting down".to_owned());
        let ended = relay(near, far, over).await;
        assert_eq!(ended, Ended::Over("the server is shutting down".to_owned()));
        for end in [person, runner] {
            let told = Receiver::new(end).next().await.unwrap();
            assert_eq!(told, Some(Frame::Closed("the server is shutting down".to_owned())));
        }
    }
}
