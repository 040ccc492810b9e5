//! Files of several pictures: pages, frames of an animation, and files that were run together. A verdict on the first of them would
//! be taken for one on all.

use super::checks::unread;
use std::io::{BufRead, Read, Seek, SeekFrom};

/// Nothing, or what is wrong with a file and what to do.
type Checked = Result<(), String>;

/// What is wrong, and what to do.
pub(super) const SEVERAL: &str = "holds more than one picture; save each to a file of its own";

/// A position in a file behind which another file may begin, by its first bytes.
pub(super) fn nothing_behind(source: &mut (impl BufRead + Seek), at: u64, begins: &[u8]) -> Checked {
    source.seek(SeekFrom::Start(at)).map_err(unread)?;
    let mut next = vec![];
    source.by_ref().take(begins.len() as u64).read_to_end(&mut next).map_err(unread)?;
    source.rewind().map_err(unread)?;
    if next == begins { Err(SEVERAL.into()) } else { Ok(()) }
}

/// A BMP, and no other behind it.
pub(super) fn bmp(source: &mut (impl BufRead + Seek)) -> Checked {
    let Some([_, _, size @ ..]) = head::<6>(source, 0) else { return Ok(()) };
    match u64::from(u32::from_le_bytes(size)) {
        size if size > 26 => nothing_behind(source, size, b"BM"), // the shortest header; some programs write no size
        _ => source.rewind().map_err(unread),
    }
}

/// A WebP with one frame at most, and no other file behind it.
pub(super) fn webp(source: &mut (impl BufRead + Seek)) -> Checked {
    let (mut at, mut frames) = (12, 0);
    while let Some([a, b, c, d, size @ ..]) = head::<8>(source, at) {
        frames += usize::from(&[a, b, c, d] == b"ANMF");
        let size = u64::from(u32::from_le_bytes(size));
        at += 8 + size + size % 2;
    }
    if frames > 1 {
        return Err(SEVERAL.into());
    }
    let size = head::<8>(source, 0).map_or(0, |[_, _, _, _, size @ ..]| u64::from(u32::from_le_bytes(size)));
    nothing_behind(source, 8 + size + size % 2, b"RIFF")
}

/// A TIFF with one page, besides smaller copies and masks of it.
pub(super) fn tiff(source: &mut (impl BufRead + Seek)) -> Checked {
    let Some(mut pages) = Pages::open(source) else { return source.rewind().map_err(unread) };
    let mut found: Vec<Page> = vec![];
    while let Some(page) = pages.next(source) {
        found.extend(page);
    }
    source.rewind().map_err(unread)?;
    let Some((first, others)) = found.split_first() else { return Ok(()) };
    if first.channels > 4 {
        return Err(format!("has {} channels, which is more than colour and alpha; save it as RGB", first.channels));
    }
    if first.stack {
        return Err(SEVERAL.into());
    }
    if first.part {
        return Err("begins with a preview or a mask of its picture; save the picture alone".into());
    }
    if others.iter().any(|p| !p.part || p.pixels >= first.pixels) { Err(SEVERAL.into()) } else { Ok(()) }
}

/// Bytes of a file, if it has so many.
fn head<const N: usize>(source: &mut (impl BufRead + Seek), at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    source.seek(SeekFrom::Start(at)).ok()?;
    source.read_exact(&mut bytes).ok().map(|()| bytes)
}

/// More pages than this have no need to be counted.
const MOST: usize = 1000;

/// A picture of a TIFF.
#[derive(Clone, Copy)]
struct Page {
    /// Whether it says that it is a smaller copy or a mask.
    part: bool,
    pixels: u64,
    channels: u64,
    /// Whether ImageJ's description says that more pictures lie behind it, without directories of their own.
    stack: bool,
}

/// Directories of a TIFF, one after the other.
struct Pages {
    little: bool,
    /// With offsets of 64 bits.
    big: bool,
    next: u64,
    seen: usize,
}

impl Pages {
    fn open(source: &mut (impl BufRead + Seek)) -> Option<Pages> {
        let [a, b, c, d, ..] = head::<8>(source, 0)?;
        let (little, big) = ([a, b] == *b"II", [c, d].contains(&43));
        let mut pages = Pages { little, big, next: 0, seen: 0 };
        pages.next = pages.number(source, if big { 8 } else { 4 }, if big { 8 } else { 4 })?;
        Some(pages)
    }

    /// A number of so many bytes.
    fn number(&self, source: &mut (impl BufRead + Seek), at: u64, bytes: usize) -> Option<u64> {
        let mut found = head::<8>(source, at).or_else(|| {
            // At the end of a file there are no eight.
            let short = head::<4>(source, at)?;
            let mut all = [0; 8];
            all.iter_mut().zip(short).for_each(|(to, from)| *to = from);
            Some(all)
        })?;
        let used = found.get_mut(..bytes)?;
        if !self.little {
            used.reverse();
        }
        Some(used.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    /// The value of an entry: 16 bits, or the first 32 of others.
    fn value(&self, source: &mut (impl BufRead + Seek), place: u64, at: u64) -> Option<u64> {
        let bytes = if self.number(source, place + 2, 2)? == 3 { 2 } else { 4 };
        self.number(source, at, bytes)
    }

    /// The page of the next directory, if it has one; `None` after the last.
    fn next(&mut self, source: &mut (impl BufRead + Seek)) -> Option<Option<Page>> {
        if self.next == 0 || self.seen == MOST {
            return None;
        }
        self.seen += 1;
        let (counted, entry, offset) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let (at, entries) = (self.next, self.number(source, self.next, counted)?.min(1 << 16));
        let (mut wide, mut high, mut part, mut channels, mut stack) = (0, 0, false, 1, false);
        for i in 0..entries {
            let place = at.checked_add(counted as u64 + i * entry)?;
            let value = place + entry - offset as u64;
            match self.number(source, place, 2)? {
                254 => part = self.value(source, place, value)? & 0b101 != 0,
                256 => wide = self.value(source, place, value)?,
                257 => high = self.value(source, place, value)?,
                270 => stack = self.number(source, value, offset).is_some_and(|text| is_stack(source, text)),
                277 => channels = self.value(source, place, value)?,
                _ => {}
            }
        }
        self.next = self.number(source, at.checked_add(counted as u64 + entries * entry)?, offset).unwrap_or_default();
        let pixels = wide.saturating_mul(high);
        Some((pixels > 0).then_some(Page { part, pixels, channels, stack }))
    }
}

/// Whether a description, as ImageJ writes it, states several pictures: `images=3`.
fn is_stack(source: &mut (impl BufRead + Seek), at: u64) -> bool {
    let mut text = vec![];
    let read = source.seek(SeekFrom::Start(at)).and_then(|_| source.by_ref().take(256).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let count = text.lines().find_map(|line| line.strip_prefix("images=")?.trim().parse::<u64>().ok());
    read.is_ok() && text.starts_with("ImageJ=") && count.is_some_and(|n| n > 1)
}
