//! Checks bytes on their way out.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::key::hex;
use super::store::Body;
use super::{Error, Key};

struct Checking {
    body: Body,
    key: Key,
    wanted: String,
    size: u64,
    seen: u64,
    digest: Sha256,
    /// Held back until it is known whether another piece follows.
    held: Option<Bytes>,
    over: bool,
}

/// The same bytes; where they are not `size` many with the digest `sha256`, an error comes in place of the last
/// piece, so that nobody takes them for complete.
pub(super) fn verified(body: Body, key: &Key, size: u64, sha256: &str) -> Body {
    let state = Checking {
        body,
        key: key.clone(),
        wanted: sha256.to_owned(),
        size,
        seen: 0,
        digest: Sha256::new(),
        held: None,
        over: false,
    };
    Box::pin(stream::unfold(state, |mut state| async move {
        if state.over {
            return None;
        }
        loop {
            match state.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    state.digest.update(&piece);
                    state.seen += piece.len() as u64;
                    if let Some(ready) = state.held.replace(piece) {
                        return Some((Ok(ready), state));
                    }
                }
                Some(Err(error)) => {
                    state.over = true;
                    return Some((Err(error), state));
                }
                None => {
                    state.over = true;
                    let found = hex(&state.digest.clone().finalize());
                    if state.seen == state.size && found == state.wanted {
                        return state.held.take().map(|last| (Ok(last), state));
                    }
                    let problem = format!(
                        "{} of {} bytes came, with the SHA-256 {found} in place of {}",
                        state.seen, state.size, state.wanted
                    );
                    let error = Error::Damaged {
                        key: state.key.to_string(),
                        problem,
                    };
                    tracing::error!(%error, "stored bytes are damaged");
                    return Some((Err(error.into_io()), state));
                }
            }
        }
    }))
}
