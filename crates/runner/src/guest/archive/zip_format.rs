//! The bytes of a zip: headers, descriptors, directory. Source: PKWARE's APPNOTE 6.3.10, Info-ZIP's extended timestamps.

use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A part of the archive, ready to be written.
pub(super) enum Piece {
    /// A whole entry.
    Entry(Header, Vec<u8>),
    /// The next block of the entry begun by `begin`.
    Block {
        begin: Option<Header>,
        data: Vec<u8>,
        crc: crc32fast::Hasher,
        size: u64,
        last: bool,
    },
}

pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) modified: i64,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) size: u64,
}

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;
pub(super) const ZSTANDARD: u16 = 93;

impl Header {
    pub(super) fn of(path: &Path, found: &Metadata, method: u16) -> Self {
        let mut name = path.as_os_str().as_bytes().to_vec();
        if found.is_dir() {
            name.push(b'/');
        }
        Self {
            name,
            mode: found.mode(),
            modified: found.mtime(),
            method,
            crc: 0,
            size: found.len(),
        }
    }
}

/// Writes in order and remembers the directory. The output is never sought in.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    offset: u64,
    directory: Vec<u8>,
    entries: u64,
    open: Option<Open>,
}

/// The entry whose blocks are being written.
struct Open {
    header: Header,
    start: u64,
    data_start: u64,
    crc: crc32fast::Hasher,
    size: u64,
    large: bool,
}

/// A number that does not fit: the real one is in the zip64 field.
const SEE_ZIP64: u32 = u32::MAX;
/// Files from here on are announced as possibly larger than 4 GiB, since they may grow while they are read and shrink
/// to nothing when compressed.
const LARGE: u64 = 3 << 30;
const DESCRIPTOR_FOLLOWS: u16 = 1 << 3;
const NAME_IS_UTF8: u16 = 1 << 11;
const MADE_ON_UNIX: u16 = 3 << 8;
const PLAIN_VERSION: u16 = 20;
const ZIP64_VERSION: u16 = 45;

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            offset: 0,
            directory: Vec::new(),
            entries: 0,
            open: None,
        }
    }

    pub(super) fn piece(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Entry(header, data) => {
                let start = self.offset;
                let compressed = data.len() as u64;
                let local = local_header(&header, Some(compressed), false);
                self.put(&local)?;
                self.put(&data)?;
                self.list(&header, start, compressed, false);
                Ok(())
            }
            Piece::Block {
                begin,
                data,
                crc,
                size,
                last,
            } => {
                if let Some(header) = begin {
                    self.begin(header)?;
                }
                self.put(&data)?;
                let Some(open) = &mut self.open else {
                    return Err(io::Error::other("a block without an entry"));
                };
                open.crc.combine(&crc);
                open.size += size;
                if last { self.end() } else { Ok(()) }
            }
        }
    }

    fn begin(&mut self, header: Header) -> io::Result<()> {
        let (start, large) = (self.offset, header.size >= LARGE);
        let local = local_header(&header, None, large);
        self.put(&local)?;
        let data_start = self.offset;
        self.open = Some(Open {
            header,
            start,
            data_start,
            crc: crc32fast::Hasher::new(),
            size: 0,
            large,
        });
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let compressed = self.offset - open.data_start;
        open.header.crc = open.crc.finalize();
        open.header.size = open.size;
        let mut descriptor = Vec::with_capacity(24);
        number(&mut descriptor, 0x0807_4b50_u32.to_le_bytes());
        number(&mut descriptor, open.header.crc.to_le_bytes());
        for size in [compressed, open.size] {
            if open.large {
                number(&mut descriptor, size.to_le_bytes());
            } else {
                let size = u32::try_from(size).map_err(|_| io::Error::other("a file grew while it was archived"))?;
                number(&mut descriptor, size.to_le_bytes());
            }
        }
        self.put(&descriptor)?;
        self.list(&open.header, open.start, compressed, true);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Adds an entry to the directory.
    fn list(&mut self, header: &Header, start: u64, compressed: u64, descriptor: bool) {
        let numbers = [header.size, compressed, start];
        let large: Vec<u64> = numbers
            .into_iter()
            .filter(|number| *number >= u64::from(SEE_ZIP64))
            .collect();
        let narrow = |number: u64| u32::try_from(number).unwrap_or(SEE_ZIP64).to_le_bytes();
        let mut extra = timestamp(header.modified);
        if !large.is_empty() {
            number(&mut extra, 1_u16.to_le_bytes());
            number(&mut extra, (8 * large.len() as u16).to_le_bytes());
            large.iter().for_each(|value| number(&mut extra, value.to_le_bytes()));
        }
        let version = if large.is_empty() { PLAIN_VERSION } else { ZIP64_VERSION };
        let folder = u32::from(header.name.ends_with(b"/")) << 4;
        let out = &mut self.directory;
        number(out, 0x0201_4b50_u32.to_le_bytes());
        number(out, (MADE_ON_UNIX | version).to_le_bytes());
        number(out, version.to_le_bytes());
        number(out, flags(header, descriptor).to_le_bytes());
        number(out, header.method.to_le_bytes());
        number(out, dos_time(header.modified).to_le_bytes());
        number(out, header.crc.to_le_bytes());
        number(out, narrow(compressed));
        number(out, narrow(header.size));
        number(out, (header.name.len() as u16).to_le_bytes());
        number(out, (extra.len() as u16).to_le_bytes());
        // Comment, disk, internal attributes.
        number(out, [0; 6]);
        number(out, ((header.mode << 16) | folder).to_le_bytes());
        number(out, narrow(start));
        out.extend_from_slice(&header.name);
        out.extend_from_slice(&extra);
        self.entries += 1;
    }

    /// Writes the directory. Returns the archive's size.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let start = self.offset;
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        let size = directory.len() as u64;
        let mut end = Vec::new();
        if self.entries >= u64::from(u16::MAX) || start >= u64::from(SEE_ZIP64) || size >= u64::from(SEE_ZIP64) {
            number(&mut end, 0x0606_4b50_u32.to_le_bytes());
            number(&mut end, 44_u64.to_le_bytes());
            number(&mut end, (MADE_ON_UNIX | ZIP64_VERSION).to_le_bytes());
            number(&mut end, ZIP64_VERSION.to_le_bytes());
            number(&mut end, [0; 8]);
            for value in [self.entries, self.entries, size, start] {
                number(&mut end, value.to_le_bytes());
            }
            number(&mut end, 0x0706_4b50_u32.to_le_bytes());
            number(&mut end, [0; 4]);
            number(&mut end, self.offset.to_le_bytes());
            number(&mut end, 1_u32.to_le_bytes());
        }
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        let narrow = |number: u64| u32::try_from(number).unwrap_or(SEE_ZIP64).to_le_bytes();
        number(&mut end, 0x0605_4b50_u32.to_le_bytes());
        number(&mut end, [0; 4]);
        number(&mut end, entries.to_le_bytes());
        number(&mut end, entries.to_le_bytes());
        number(&mut end, narrow(size));
        number(&mut end, narrow(start));
        number(&mut end, [0; 2]);
        self.put(&end)?;
        self.out.flush()?;
        Ok(self.offset)
    }
}

fn number<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

fn flags(header: &Header, descriptor: bool) -> u16 {
    let utf8 = if std::str::from_utf8(&header.name).is_ok() {
        NAME_IS_UTF8
    } else {
        0
    };
    if descriptor { utf8 | DESCRIPTOR_FOLLOWS } else { utf8 }
}

/// The header in front of the data. `compressed`: its size, where it is known.
fn local_header(header: &Header, compressed: Option<u64>, large: bool) -> Vec<u8> {
    let mut extra = timestamp(header.modified);
    let (size, packed) = match compressed {
        // Entries written as a whole are small.
        Some(compressed) => (header.size as u32, compressed as u32),
        None if large => {
            number(&mut extra, 1_u16.to_le_bytes());
            number(&mut extra, 16_u16.to_le_bytes());
            number(&mut extra, [0; 16]);
            (SEE_ZIP64, SEE_ZIP64)
        }
        None => (0, 0),
    };
    let mut out = Vec::with_capacity(64 + header.name.len());
    number(&mut out, 0x0403_4b50_u32.to_le_bytes());
    number(
        &mut out,
        if large { ZIP64_VERSION } else { PLAIN_VERSION }.to_le_bytes(),
    );
    number(&mut out, flags(header, compressed.is_none()).to_le_bytes());
    number(&mut out, header.method.to_le_bytes());
    number(&mut out, dos_time(header.modified).to_le_bytes());
    number(
        &mut out,
        if compressed.is_some() { header.crc } else { 0 }.to_le_bytes(),
    );
    number(&mut out, packed.to_le_bytes());
    number(&mut out, size.to_le_bytes());
    number(&mut out, (header.name.len() as u16).to_le_bytes());
    number(&mut out, (extra.len() as u16).to_le_bytes());
    out.extend_from_slice(&header.name);
    out.extend_from_slice(&extra);
    out
}

/// The extended timestamp: seconds, where DOS knows every other one.
fn timestamp(modified: i64) -> Vec<u8> {
    let seconds = i32::try_from(modified).unwrap_or(if modified < 0 { i32::MIN } else { i32::MAX });
    let mut extra = Vec::with_capacity(9);
    number(&mut extra, 0x5455_u16.to_le_bytes());
    number(&mut extra, 5_u16.to_le_bytes());
    extra.push(1);
    number(&mut extra, seconds.to_le_bytes());
    extra
}

/// Date and time as DOS has them, in UTC; the nearest it can say.
fn dos_time(modified: i64) -> u32 {
    const FIRST: u32 = ((1 << 5) | 1) << 16;
    /// The last second that there is.
    const LAST: u32 = 0xff9f_bf7d;
    let Ok(time) = jiff::Timestamp::from_second(modified) else {
        return FIRST;
    };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let part = |value: i8| u32::try_from(value).unwrap_or(0);
    match time.year() {
        ..1980 => FIRST,
        2108.. => LAST,
        year => {
            let date = (u32::from((year - 1980).unsigned_abs()) << 9) | (part(time.month()) << 5) | part(time.day());
            let seconds = part(time.second()) / 2;
            (date << 16) | (part(time.hour()) << 11) | (part(time.minute()) << 5) | seconds
        }
    }
}
