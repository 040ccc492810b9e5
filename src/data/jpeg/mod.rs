//! JPEG, decoded as libjpeg-turbo decodes it, bit for bit, and refused where anything is missing or out of place. Other decoders fill in
//! what is missing, with gray or with what came before; such a picture would get a verdict.
//!
//! JPEG has no checksums. What there is to go by: every code is in its table, every block is there, restart markers count on, nothing is
//! left over, no value is larger than a picture's can be, and every coefficient came with all its bits.

mod bits;
mod fault;
mod frame;
mod pixels;
mod scan;
mod tables;

use super::picture::Limits;
use super::several::SEVERAL;
use fault::Fault;
use frame::Frame;
use image::DynamicImage;
use image::metadata::Orientation;
use tables::Tables;

/// A picture as its file has it, and how it is to be turned.
pub(super) struct Decoded {
    pub image: DynamicImage,
    pub orientation: Orientation,
}

/// Decodes a file, or says what is wrong with it and what to do.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Decoded, String> {
    let mut reader = Reader { rest: bytes, limits, ..Reader::default() };
    reader.read()?;
    let own = reader.frame.as_ref().map_or(0, |f| f.size.iter().product());
    if following(reader.rest).any(|pixels| pixels >= own) {
        return Err(SEVERAL.into());
    }
    let (frame, luma) = (reader.frame.take().ok_or(Fault::Incomplete)?, reader.difference());
    let image = pixels::image(&frame, luma).ok_or(Fault::Incomplete)?;
    Ok(Decoded { image, orientation: reader.orientation.unwrap_or(Orientation::NoTransforms) })
}

/// Pixels of the JPEGs that follow another one in its file: smaller ones are previews, or what a phone knows besides.
fn following(rest: &[u8]) -> impl Iterator<Item = usize> {
    let begins = |w: &[u8]| *w == [0xff, 0xd8, 0xff];
    let places = rest.windows(3).enumerate().filter(move |(_, w)| begins(w));
    places.filter_map(|(i, _)| pixels_of(rest.get(i + 2..)?))
}

/// Pixels of a JPEG, after its first marker.
fn pixels_of(rest: &[u8]) -> Option<usize> {
    let mut reader = Reader { rest, ..Reader::default() };
    loop {
        match (reader.marker(true).ok()?, reader.body().ok()?) {
            (0xc0..=0xc2, &[_, h1, h0, w1, w0, ..]) => {
                return Some([[w1, w0], [h1, h0]].map(|v| usize::from(u16::from_be_bytes(v))).iter().product());
            }
            (0xda, _) => return None,
            _ => {}
        }
    }
}

/// What is wrong with a JPEG within another file, of which the tables stand apart.
pub(super) fn check(tables: Option<&[u8]>, bytes: &[u8], limits: Limits) -> Result<(), String> {
    let mut reader = Reader { rest: tables.unwrap_or_default(), limits, ..Reader::default() };
    if tables.is_some() {
        reader.segments()?;
    }
    reader.rest = bytes;
    reader.read()
}

/// A file while it is read.
#[derive(Default)]
struct Reader<'b> {
    rest: &'b [u8],
    limits: Limits,
    tables: Tables,
    frame: Option<Frame>,
    orientation: Option<Orientation>,
    /// Whether there is a JFIF segment, and the transform that Adobe's names.
    jfif: bool,
    adobe: Option<u8>,
}

impl<'b> Reader<'b> {
    /// The whole file, to its end marker.
    fn read(&mut self) -> Result<(), String> {
        self.segments()?;
        let frame = self.frame.as_mut().ok_or(Fault::Incomplete)?;
        if !frame.is_complete() {
            return Err(Fault::Incomplete.into());
        }
        frame.components.iter_mut().for_each(pixels::transform);
        Ok(())
    }

    fn segments(&mut self) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(&[0xff, 0xd8]).ok_or(Fault::Segment("beginning"))?;
        let mut lenient = false;
        loop {
            let marker = self.marker(lenient)?;
            if marker == 0xd9 {
                return Ok(());
            }
            let body = self.body()?;
            // Some programs leave bytes between what is no part of the picture.
            lenient = matches!(marker, 0xe0..=0xef | 0xfe);
            match marker {
                0xda => {
                    let frame = self.frame.as_mut().ok_or(Fault::Segment("order of segments"))?;
                    if self.tables.without_huffman() && !frame.progressive {
                        self.tables.set_standard();
                    }
                    self.rest = scan::read(frame, &self.tables, body, self.rest)?;
                }
                0xc0..=0xc2 if self.frame.is_none() => self.frame = Some(Frame::parse(marker, body, self.limits)?),
                0xc4 => self.tables.huffman(body)?,
                0xdb => self.tables.quantization(body)?,
                0xdd => self.tables.restart(body)?,
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                    let what = "is a lossless, hierarchical or arithmetic-coded JPEG";
                    return Err(format!("{what}; save it as a baseline or progressive JPEG, or as PNG"));
                }
                0xe0..=0xef => self.application(marker, body),
                0xf0..=0xfe => {}
                _ => return Err(Fault::Segment("order of segments").into()),
            }
        }
    }

    /// The next marker; `lenient`: whatever lies before it.
    fn marker(&mut self, lenient: bool) -> Result<u8, Fault> {
        let other = self.rest.iter().take_while(|b| **b != 0xff).count();
        if other > 0 && !lenient && other < self.rest.len() {
            return Err(Fault::Segment("order of segments"));
        }
        let rest = self.rest.get(other..).unwrap_or_default();
        let fill = rest.iter().take_while(|b| **b == 0xff).count();
        let (marker, rest) = rest.get(fill..).and_then(<[u8]>::split_first).ok_or(Fault::Truncated)?;
        self.rest = rest;
        if *marker == 0 { Err(Fault::Segment("order of segments")) } else { Ok(*marker) }
    }

    /// A segment's content, without its length.
    fn body(&mut self) -> Result<&'b [u8], Fault> {
        let length = self.rest.first_chunk().map(|l| usize::from(u16::from_be_bytes(*l))).ok_or(Fault::Truncated)?;
        if length < 2 {
            return Err(Fault::Segment("length of a segment"));
        }
        let (body, rest) = self.rest.split_at_checked(length).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(body.get(2..).unwrap_or_default())
    }

    /// What programs say of the picture: how it is to be turned, and which colours it has.
    fn application(&mut self, marker: u8, body: &[u8]) {
        match (marker, body) {
            (0xe0, [b'J', b'F', b'I', b'F', 0, ..]) => self.jfif = true,
            (0xe1, [b'E', b'x', b'i', b'f', 0, 0, exif @ ..]) if self.orientation.is_none() => {
                self.orientation = Orientation::from_exif_chunk(exif);
            }
            (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => self.adobe = Some(*transform),
            _ => {}
        }
    }

    /// Whether three components are luma and two differences, not red, green and blue: libjpeg's rule.
    fn difference(&self) -> bool {
        let ids = self.frame.iter().flat_map(|f| f.components.iter().map(|c| c.id));
        self.jfif || self.adobe.map_or_else(|| !ids.eq(*b"RGB"), |transform| transform != 0)
    }
}

#[cfg(test)]
mod tests;
