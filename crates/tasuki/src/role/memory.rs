//! Gives memory back that an idle process does not need.
//!
//! A process that has started has read most of its program's file: relocations, tables, the command line's parser, the
//! code that opens and checks things. An idle runner needs a small part of that, but the kernel leaves the pages
//! mapped until memory is short. So does the heap with what was freed. The same holds after a job, and, in small, after
//! each answer "no job": a page that is touched brings those around it with it.

#![expect(
    unsafe_code,
    reason = "advice to the kernel about mappings has no safe interface; the module's only calls keep their contracts by construction"
)]

use std::ops::Range;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tasuki_rt::Tasks;

/// When whatever the start does is over.
const STARTED: Duration = Duration::from_secs(2);
/// How often is looked whether the process was idle.
const EVERY: Duration = Duration::from_secs(6);
/// A process that used less of the processor since the last look was idle.
const IDLE: Duration = Duration::from_millis(12);
/// Less than this is not worth the while.
const WORTH: usize = 1 << 20;

/// From now on what the process does not need while it is idle is given back.
pub(crate) fn settle_when_idle(tasks: &Tasks) {
    let stop = tasks.token();
    let work = async move {
        tokio::time::sleep(STARTED).await;
        settle();
        let mut last = (processor_time(), pages_of_files());
        loop {
            tokio::time::sleep(EVERY).await;
            let (time, files) = (processor_time(), pages_of_files());
            let was_idle = time.saturating_sub(last.0) < IDLE;
            if was_idle && files > last.1 + WORTH {
                settle();
                last.1 = pages_of_files();
            }
            last.0 = time;
        }
    };
    drop(tasks.spawn("memory", async move {
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }));
}

/// Used by this process so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Bytes of files that are mapped and resident.
fn pages_of_files() -> usize {
    // Sizes in pages: all, resident, of files.
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = sizes
        .split_whitespace()
        .nth(2)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size()
}

/// Gives back free memory of the heap, and the pages of the program and its libraries that the kernel can read again from
/// their files.
fn settle() {
    // SAFETY: only touches memory that the allocator holds as free; has no preconditions.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    for range in unchanged(&mappings) {
        // SAFETY: the range is a part of the program's image or of a library's, which stay mapped as long as the process
        // lives: nothing here unloads a library. It cannot be written and holds no page that differs from the
        // file's, so dropping its pages changes nothing that can be observed: the next access reads the same bytes
        // from the file again.
        unsafe {
            libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED);
        }
    }
}

/// A line of `/proc/self/smaps` with what is told of it.
struct Mapping<'a> {
    range: Range<usize>,
    permissions: &'a str,
    /// Of its first byte in the file.
    offset: usize,
    path: &'a str,
    /// Whether no page of it is the process's own. What the loader has changed (relocations) is, though it cannot be
    /// written any more.
    is_files: bool,
}

/// The parts of loaded images (the program, its libraries) whose pages are the file's and nothing else. An image is code
/// with what the loader has mapped right before and behind it from the same file.
fn unchanged(mappings: &str) -> Vec<Range<usize>> {
    let all = read(mappings);
    let images = all.chunk_by(|a, b| a.range.end == b.range.start && a.path == b.path && a.offset < b.offset);
    images
        .filter(|image| {
            image
                .iter()
                .any(|part| part.permissions == "r-xp" && part.path.starts_with('/'))
        })
        .flatten()
        .filter(|part| part.is_files && part.permissions.starts_with("r-") && part.permissions.ends_with('p'))
        .map(|part| part.range.clone())
        .collect()
}

fn read(mappings: &str) -> Vec<Mapping<'_>> {
    let mut all: Vec<Mapping<'_>> = Vec::new();
    for line in mappings.lines() {
        if let Some(mapping) = head(line) {
            all.push(mapping);
        } else if let (Some(size), Some(last)) = (line.strip_prefix("Anonymous:"), all.last_mut()) {
            last.is_files = size.split_whitespace().next() == Some("0");
        }
    }
    all
}

/// `55d0c8a00000-55d0c9c00000 r-xp 00a00000 fe:00 1234   /usr/bin/tasuki`
fn head(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    Some(Mapping {
        range: hex(start)?..hex(end)?,
        permissions: words.next()?,
        offset: hex(words.next()?)?,
        path: words.nth(2).unwrap_or_default(),
        is_files: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's image in smaps: constants, code, relocated constants, data. Around it what is not loaded, and a
    /// library, before which the same file is mapped once more by somebody who will undo it.
    const MAPPINGS: &str = "\
5500000000-5500002000 r--p 00000000 fe:00 77    /usr/bin/other
Anonymous:             0 kB
5500002000-5500004000 r--p 00000000 fe:00 78    /usr/bin/tasuki
Rss:                   8 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
VmFlags: rd mr mw me
5500004000-5500008000 r-xp 00002000 fe:00 78    /usr/bin/tasuki
Anonymous:             0 kB
5500008000-5500009000 r--p 00006000 fe:00 78    /usr/bin/tasuki
Anonymous:             4 kB
5500009000-550000a000 rw-p 00007000 fe:00 78    /usr/bin/tasuki
Anonymous:             0 kB
550000a000-550000c000 rw-p 00000000 00:00 0
Anonymous:             0 kB
550000c000-550000d000 rw-p 00000000 00:00 0     [heap]
Anonymous:             0 kB
7f00000000-7f00002000 r--p 00000000 fe:00 79    /usr/lib/libc.so.6
Anonymous:             0 kB
7f00002000-7f00004000 r--p 00000000 fe:00 79    /usr/lib/libc.so.6
Anonymous:             0 kB
7f00004000-7f00008000 r-xp 00002000 fe:00 79    /usr/lib/libc.so.6
Anonymous:             0 kB
7f00010000-7f00012000 r--s 00000000 fe:00 80    /var/lib/tasuki/tasuki.db-shm
Anonymous:             0 kB
7fff000000-7fff002000 r-xp 00000000 00:00 0     [vdso]
Anonymous:             0 kB
";

    #[test]
    fn only_pages_of_images_that_can_be_read_again_are_given_back() {
        let expected = [
            0x55_0000_2000..0x55_0000_4000,
            0x55_0000_4000..0x55_0000_8000,
            0x7f_0000_2000..0x7f_0000_4000,
            0x7f_0000_4000..0x7f_0000_8000,
        ];
        assert_eq!(unchanged(MAPPINGS), expected);
        assert!(unchanged("").is_empty());
        // Code that somebody has changed (a debugger's breakpoint) stays.
        let patched = MAPPINGS.replace("Anonymous:             0 kB", "Anonymous:             4 kB");
        assert!(unchanged(&patched).is_empty());
    }

    /// Relocations, constants and code are as they were: otherwise this would not come back.
    #[test]
    fn the_program_goes_on() {
        let ranges = unchanged(&std::fs::read_to_string("/proc/self/smaps").unwrap());
        let code = settle as fn() as usize;
        assert!(
            ranges.iter().any(|range| range.contains(&code)),
            "{code:x} in {ranges:x?}"
        );
        settle();
        let help = clap::Command::new("x")
            .about("still here")
            .render_long_help()
            .to_string();
        assert!(help.contains("still here"));
    }
}
