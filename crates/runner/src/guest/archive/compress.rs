//! Compressing blocks beside one another.

use std::io::{self, Write as _};

use flate2::{Compress, Compression as Deflate, FlushCompress, Status};

use crate::guest::Compression;

/// Level of deflate (zlib's scale) for a level of ours. By default one quick pass: two cores then pack faster than most
/// networks take it, and the next level is a third slower for a sixth less. Zstd is there for more.
pub(super) fn deflate_level(level: Compression) -> u32 {
    match level {
        Compression::Fastest | Compression::Fast | Compression::Default => 1,
        Compression::Slow => 6,
        Compression::Slowest => 9,
    }
}

/// Level of zstd for a level of ours.
pub(super) fn zstd_level(level: Compression) -> i32 {
    match level {
        Compression::Fastest => -1,
        Compression::Fast => 1,
        Compression::Default => 2,
        Compression::Slow => 9,
        Compression::Slowest => 17,
    }
}

/// A block as raw deflate. Blocks that are not the `last` end at a byte, so that the next can simply follow.
pub(super) fn deflate(data: &[u8], level: u32, last: bool) -> io::Result<Vec<u8>> {
    let mut state = Compress::new(Deflate::new(level), false);
    let mut out = Vec::with_capacity(data.len() / 2 + 64);
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    loop {
        let consumed = usize::try_from(state.total_in()).map_err(io::Error::other)?;
        let status = state.compress_vec(data.get(consumed..).unwrap_or_default(), &mut out, flush)?;
        let all_in = state.total_in() == data.len() as u64;
        let room = out.len() < out.capacity();
        if status == Status::StreamEnd || (!last && all_in && room) {
            return Ok(out);
        }
        if !room {
            out.reserve(out.capacity().max(4096));
        }
    }
}

/// A block as a zstd frame of its own: frames may follow one another.
pub(super) fn zstd(data: &[u8], level: i32) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(data, level)
}

/// A gzip member.
pub(super) fn gzip(data: &[u8], name: &str, modified: u32) -> io::Result<Vec<u8>> {
    let builder = flate2::GzBuilder::new()
        .filename(name.replace('\0', ""))
        .mtime(modified);
    let mut member = builder.write(Vec::new(), Deflate::default());
    member.write_all(data)?;
    member.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn blocks_may_follow_one_another() {
        let blocks: Vec<Vec<u8>> = (0..5_u8)
            .map(|n| (0..100_000_u32).map(|i| (i % 251) as u8 ^ n).collect())
            .collect();
        let whole: Vec<u8> = blocks.concat();
        for level in [1, 2, 6, 9] {
            let stream: Vec<u8> = blocks
                .iter()
                .enumerate()
                .flat_map(|(n, block)| deflate(block, level, n + 1 == blocks.len()).expect("compresses"))
                .collect();
            let mut back = Vec::new();
            flate2::read::DeflateDecoder::new(&stream[..])
                .read_to_end(&mut back)
                .expect("is deflate");
            assert_eq!(back, whole, "level {level}");
        }
        let stream: Vec<u8> = blocks
            .iter()
            .flat_map(|block| zstd(block, 1).expect("compresses"))
            .collect();
        assert_eq!(::zstd::decode_all(&stream[..]).expect("is zstd"), whole);
        assert_eq!(deflate(b"", 1, true).expect("compresses"), [3, 0]);
    }
}
