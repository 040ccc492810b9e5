//! What a file says of itself and decoders do not hold it to: checksums, lengths, ends.

use super::jpeg;
use super::picture::Limits;
use super::several::{SEVERAL, nothing_behind};
use ::tiff::decoder::Decoder;
use ::tiff::tags::Tag;
use flate2::read::ZlibDecoder;
use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom, Write};

/// Nothing, or what is wrong with a file and what to do.
type Checked = Result<(), String>;

pub(super) fn unread(error: io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "is truncated; copy it again".into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// A checksum of what is written.
#[derive(Default)]
struct Crc(crc32fast::Hasher);

impl Write for Crc {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every chunk of a PNG with its checksum, to the last one. The decoder ignores damaged chunks that a picture can do without, such as the
/// one that turns it, and does not miss the end.
pub(super) fn png(source: &mut (impl BufRead + Seek)) -> Checked {
    source.seek(SeekFrom::Start(8)).map_err(unread)?;
    loop {
        let mut head = [0; 8];
        source.read_exact(&mut head).map_err(unread)?;
        let [l0, l1, l2, l3, kind @ ..] = head;
        let length = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        let mut crc = Crc::default();
        crc.0.update(&kind);
        let mut frames = [0; 4];
        let begun = if &kind == b"acTL" && length >= 4 { 4 } else { 0 };
        if begun > 0 {
            source.read_exact(&mut frames).map_err(unread)?;
            crc.0.update(&frames);
        }
        let read = begun + io::copy(&mut source.by_ref().take(length - begun), &mut crc).map_err(unread)?;
        let mut told = [0; 4];
        source.read_exact(&mut told).map_err(unread)?;
        if read < length || crc.0.finalize() != u32::from_be_bytes(told) {
            let kind = kind.escape_ascii();
            return Err(format!("is a damaged PNG file: the checksum of its chunk {kind} is wrong; copy it again"));
        }
        if u32::from_be_bytes(frames) > 1 {
            return Err(SEVERAL.into());
        }
        if &kind == b"IEND" {
            let end = source.stream_position().map_err(unread)?;
            return nothing_behind(source, end, b"\x89PNG\r\n\x1a\n");
        }
    }
}

/// Whether a WebP file is as long as it says. The decoder does not notice a missing EXIF chunk at the end, and would not turn the picture.
pub(super) fn webp(source: &mut (impl BufRead + Seek)) -> Checked {
    let mut head = [0; 8];
    source.read_exact(&mut head).map_err(unread)?;
    let have = source.seek(SeekFrom::End(0)).map_err(unread)?;
    source.rewind().map_err(unread)?;
    let [_, _, _, _, size @ ..] = head;
    if have < 8 + u64::from(u32::from_le_bytes(size)) {
        return Err("is a truncated WebP file: it is shorter than its header says; copy it again".into());
    }
    Ok(())
}

/// The parts of a TIFF's first picture: the checksums of those compressed by Deflate, and JPEGs as in files of their own. Of what else
/// may be wrong, the decoder tells.
pub(super) fn tiff(source: &mut (impl BufRead + Seek), limits: Limits) -> Checked {
    // Parts that overlap could be read without end.
    let mut left = source.seek(SeekFrom::End(0)).and_then(|end| source.rewind().map(|()| end)).map_err(unread)?;
    for part in parts(source) {
        left = left
            .checked_sub(part.length)
            .ok_or("is a damaged TIFF file: it is shorter than its parts; copy it again")?;
        source.seek(SeekFrom::Start(part.offset)).map_err(unread)?;
        let mut data = source.by_ref().take(part.length);
        match part.compression {
            7 => {
                let mut bytes = vec![];
                data.read_to_end(&mut bytes).map_err(unread)?;
                jpeg::check(part.tables.as_deref(), &bytes, limits)
                    .map_err(|e| format!("contains JPEG data that {e}"))?;
            }
            _ => {
                let most = limits.pixels.saturating_mul(16);
                io::copy(&mut ZlibDecoder::new(data).take(most), &mut io::sink())
                    .map_err(|e| format!("is a damaged TIFF file: {e}; copy it again"))?;
            }
        }
    }
    source.rewind().map_err(unread)
}

/// A strip or a tile.
struct Part {
    offset: u64,
    length: u64,
    compression: u16,
    tables: Option<std::sync::Arc<[u8]>>,
}

/// Strips or tiles of the compressions that have something to be held to.
fn parts(source: &mut (impl BufRead + Seek)) -> Vec<Part> {
    let Ok(mut file) = Decoder::new(source) else { return vec![] };
    let Ok(Some(compression @ (7 | 8 | 32946))) = file.find_tag_unsigned::<u16>(Tag::Compression) else {
        return vec![];
    };
    let tables = file.find_tag(Tag::JPEGTables).ok().flatten().and_then(|t| t.into_u8_vec().ok()).map(Into::into);
    let mut numbers = |tag| file.find_tag_unsigned_vec::<u64>(tag).ok().flatten();
    let offsets = numbers(Tag::StripOffsets).or_else(|| numbers(Tag::TileOffsets)).unwrap_or_default();
    let lengths = numbers(Tag::StripByteCounts).or_else(|| numbers(Tag::TileByteCounts)).unwrap_or_default();
    let part = |(offset, length)| Part { offset, length, compression, tables: tables.clone() };
    offsets.into_iter().zip(lengths).map(part).collect()
}
