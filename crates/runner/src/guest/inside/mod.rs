//! The guest in a container: what the docker and the kubernetes executor start there.
//!
//! | Command | Does |
//! |---|---|
//! | `guest hold` | keeps the container alive, tells as whom and with which environment it runs, reaps orphans; starts `inside` when asked to over its own input (see [`line`]) |
//! | `guest inside` | does one [`Work`] that comes on standard input, then obeys [`Order`]s until it has ended |
//! | `guest session DIR` | the same by way of a process that goes on when the connection breaks (see [`session`]) |
//! | `guest install DIR` | puts itself into a volume that other containers mount |
//! | `guest forward PORT=HOST:PORT …` | passes ports on |
//! | `guest receive WHO DIR` | takes a folder over standard input |
//!
//! Standard output of `inside` carries frames: one byte of kind ([`Kind`]), four of length (little endian), the bytes.
//! The last frame is the [`Answer`]. So the end of a program is known apart from the ends of its children, its two
//! streams keep their order, and a background process that holds the output open holds up nobody. When standard input
//! ends, because the runner let go or died, everything that was started is killed.

mod env;
mod files;
mod forward;
mod frames;
mod hold;
mod install;
mod line;
mod log;
mod oom;
mod protocol;
mod receive;
mod session;
mod tcp;
mod work;

pub(crate) use forward::forward;
pub(crate) use frames::Frames;
pub(crate) use hold::{READY, Ready, hold};
pub(crate) use install::install;
pub(crate) use line::{Hearing, MARK, MAX_INPUT, OPENING, Said, Told, every_byte};
pub(crate) use protocol::{Answer, Folder, Holder, Kind, Opening, Order, Script, Work, millis};
pub(crate) use receive::{END, receive};
pub(crate) use session::{carry, session};
pub(crate) use work::work;
