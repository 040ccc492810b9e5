//! Zip archives, as far as PyTorch uses them: the central directory, stored and deflated records, zip64. Read from a mapped file
//! without copying; every length is checked against the file and against the other places that state it.

use super::budget::Budget;
use flate2::{Decompress, FlushDecompress, Status};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of the end record, and of the longest comment after it.
const END: usize = 22;
const COMMENT: usize = 0xffff;

/// An archive.
#[derive(Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    records: BTreeMap<&'a str, DirectoryEntry>,
}

/// What the central directory says about a record.
#[derive(Clone, Copy, Debug)]
struct DirectoryEntry {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    at: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory.
    pub fn open(bytes: &'a [u8]) -> Result<Archive<'a>, String> {
        let (count, size, start) = directory(bytes)?;
        let place = span(bytes, start, size).ok_or_else(|| {
            format!("its central directory should have {size} bytes at {start}, outside the file's {}", bytes.len())
        })?;
        let (mut records, mut rest, mut seen) = (BTreeMap::new(), place, 0u64);
        while !rest.is_empty() {
            let (name, entry, length) = entry(rest)?;
            check(name)?;
            if records.insert(name, entry).is_some() {
                return Err(format!("two records are called {name}"));
            }
            rest = rest.get(length..).unwrap_or_default();
            seen += 1;
        }
        if seen != count {
            return Err(format!("its central directory lists {seen} records but claims {count}"));
        }
        apart(&records)?;
        Ok(Archive { bytes, records })
    }

    /// Names of the records.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.records.keys().copied()
    }

    /// Unpacked size of a record in bytes, as the directory states it.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.records.get(name).map(|e| e.size)
    }

    /// A record's bytes. If it must be unpacked, its size is taken from the budget first.
    pub fn read(&self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>, String> {
        let entry = *self.records.get(name).ok_or_else(|| format!("record {name} is missing"))?;
        let packed = self.packed(name, entry)?;
        let data = match entry.method {
            _ if entry.flags & 1 != 0 => return Err(format!("record {name} is encrypted")),
            0 if entry.packed != entry.size => {
                return Err(format!("record {name} is stored in {} bytes but claims {}", entry.packed, entry.size));
            }
            0 => Cow::Borrowed(packed),
            8 => Cow::Owned(inflate(name, packed, entry.size, budget)?),
            other => {
                return Err(format!(
                    "record {name} is compressed by method {other}; only stored and deflated records can be read"
                ));
            }
        };
        let crc = crc32fast::hash(&data);
        if crc != entry.crc {
            return Err(format!("record {name} is damaged: its checksum is {crc:08x} and should be {:08x}", entry.crc));
        }
        Ok(data)
    }

    /// The bytes of a record as they are in the file, after its local header.
    fn packed(&self, name: &str, entry: DirectoryEntry) -> Result<&'a [u8], String> {
        let outside = || {
            let file = self.bytes.len();
            format!("record {name} should have {} bytes at {}, outside the file's {file}", entry.packed, entry.at)
        };
        let head = span(self.bytes, entry.at, 30).ok_or_else(outside)?;
        let lengths = number(head, 26, 2).zip(number(head, 28, 2));
        let (title, extra) = lengths.filter(|_| head.starts_with(b"PK\x03\x04")).ok_or_else(outside)?;
        let own = span(self.bytes, entry.at + 30, title);
        if own != Some(name.as_bytes()) {
            return Err(format!("record {name} has another name in its local header"));
        }
        span(self.bytes, entry.at + 30 + title + extra, entry.packed).ok_or_else(outside)
    }
}

/// Number of records, bytes of the directory, where it begins.
fn directory(bytes: &[u8]) -> Result<(u64, u64, u64), String> {
    let missing = || {
        "is not a valid PyTorch archive: its central directory is missing; the file is cut off, copy it again"
            .to_string()
    };
    let last = bytes.len().checked_sub(END).ok_or_else(missing)?;
    let ends_here = |&at: &usize| {
        let end = bytes.get(at..).unwrap_or_default();
        end.starts_with(b"PK\x05\x06") && number(end, 20, 2) == Some((last - at) as u64)
    };
    let at = (last.saturating_sub(COMMENT)..=last).rev().find(ends_here).ok_or_else(missing)?;
    let end = bytes.get(at..).unwrap_or_default();
    let field = |at, n| number(end, at, n).ok_or_else(missing);
    let (count, size, start) = (field(10, 2)?, field(12, 4)?, field(16, 4)?);
    if count != 0xffff && size != 0xffff_ffff && start != 0xffff_ffff {
        return Ok((count, size, start));
    }
    let locator = at.checked_sub(20).and_then(|at| bytes.get(at..)).filter(|l| l.starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else { return Ok((count, size, start)) };
    let place = number(locator, 8, 8).and_then(|at| span(bytes, at, 56)).filter(|r| r.starts_with(b"PK\x06\x06"));
    let record = place.ok_or("its zip64 directory lies outside the file")?;
    let field = |at| number(record, at, 8).ok_or_else(missing);
    Ok((field(32)?, field(40)?, field(48)?))
}

/// The first record of the rest of a directory: name, what is stated about it, bytes that it takes.
fn entry(rest: &[u8]) -> Result<(&str, DirectoryEntry, usize), String> {
    let cut = || "its central directory is damaged".to_string();
    if !rest.starts_with(b"PK\x01\x02") {
        return Err(cut());
    }
    let field = |at, n| number(rest, at, n).ok_or_else(cut);
    let (title, extra, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
    let name = span(rest, 46, title).and_then(|n| std::str::from_utf8(n).ok()).ok_or_else(cut)?;
    let mut long = zip64(span(rest, 46 + title, extra).ok_or_else(cut)?);
    // If 32 bits do not suffice, the 64-bit fields follow in this order, only those that are needed.
    let mut wide = |value: u64| {
        if value != 0xffff_ffff {
            return Ok(value);
        }
        let wide =
            number(long, 0, 8).ok_or_else(|| format!("record {name} has no 64-bit length although it claims one"));
        long = long.get(8..).unwrap_or_default();
        wide
    };
    let (size, packed, at) = (wide(field(24, 4)?)?, wide(field(20, 4)?)?, wide(field(42, 4)?)?);
    let (flags, method, crc) = (field(8, 2)? as u16, field(10, 2)? as u16, field(16, 4)? as u32);
    let length = (46 + title + extra + comment) as usize;
    if length > rest.len() {
        return Err(cut());
    }
    Ok((name, DirectoryEntry { flags, method, crc, packed, size, at }, length))
}

/// No two records share bytes: otherwise a small file could contain many large ones.
fn apart(records: &BTreeMap<&str, DirectoryEntry>) -> Result<(), String> {
    let mut places: Vec<(u64, u64, &str)> = records.iter().map(|(n, e)| (e.at, e.packed, *n)).collect();
    places.sort_unstable();
    for ((at, packed, name), (next, _, other)) in places.iter().zip(places.iter().skip(1)) {
        if at.saturating_add(30).saturating_add(*packed) > *next {
            return Err(format!("record {name} should have {packed} bytes at {at}, but {other} begins at {next}"));
        }
    }
    Ok(())
}

/// The field of 64-bit numbers among the extra fields.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let (Some(tag), Some(length)) = (number(extra, 0, 2), number(extra, 2, 2)) {
        let Some(field) = span(extra, 4, length) else { break };
        if tag == 1 {
            return field;
        }
        extra = extra.get(4 + length as usize..).unwrap_or_default();
    }
    &[]
}

/// Names stay inside the archive. Nothing is ever written under them; a file with such names is malicious.
fn check(name: &str) -> Result<(), String> {
    let bad = name.starts_with('/') || name.contains(['\\', '\0']) || name.split('/').any(|p| p == "..");
    if bad { Err(format!("record \"{}\" has a name that leaves the archive", name.escape_debug())) } else { Ok(()) }
}

fn inflate(name: &str, packed: &[u8], size: u64, budget: &mut Budget) -> Result<Vec<u8>, String> {
    budget.take(size, &format!("record {name}"))?;
    let room = usize::try_from(size).ok().and_then(|s| s.checked_add(1)).ok_or("a record beyond the address space")?;
    let mut out = Vec::with_capacity(room); // one more than it claims, so that an extra byte is noticed
    match Decompress::new(false).decompress_vec(packed, &mut out, FlushDecompress::Finish) {
        Ok(_) if out.len() as u64 > size => {
            Err(format!("record {name} unpacks to more than the {size} bytes it claims"))
        }
        Ok(Status::StreamEnd) if out.len() as u64 == size => Ok(out),
        Ok(_) => Err(format!("record {name} unpacks to {} bytes but claims {size}", out.len())),
        Err(e) => Err(format!("record {name} cannot be unpacked: {e}")),
    }
}

fn span(bytes: &[u8], from: u64, length: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(from).ok()?..usize::try_from(from.checked_add(length)?).ok()?)
}

/// A little-endian number of `n` bytes.
fn number(bytes: &[u8], at: usize, n: usize) -> Option<u64> {
    Some(bytes.get(at..at.checked_add(n)?)?.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
}
