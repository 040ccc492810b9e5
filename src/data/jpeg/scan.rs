//! A scan: the blocks of one or several components, coded by Huffman codes.

use super::bits::{Bits, Table};
use super::fault::Fault;
use super::frame::{Block, Component, Frame};
use super::pixels;
use super::tables::{Tables, ZIGZAG};

/// Reads a scan into the frame; `header` is its segment. Returns what follows: a marker.
pub(super) fn read<'b>(frame: &mut Frame, tables: &Tables, header: &[u8], data: &'b [u8]) -> Result<&'b [u8], Fault> {
    let (band, parts) = header_of(frame, tables, header)?;
    begin(frame, tables, band, &parts)?;
    let scan = Scan { frame, band, parts, bits: Bits::new(data), run: 0 };
    scan.blocks(tables.interval)
}

/// Which values of a block a scan has, in the file's order, and which of their bits.
#[derive(Clone, Copy)]
struct Band {
    progressive: bool,
    first: usize,
    last: usize,
    /// The bits that came before, and the lowest that comes now.
    before: u8,
    low: u8,
}

/// A component in a scan.
struct Part<'t> {
    component: usize,
    dc: Option<&'t Table>,
    ac: Option<&'t Table>,
    /// The last block's first value.
    last: i32,
}

fn header_of<'t>(frame: &Frame, tables: &'t Tables, header: &[u8]) -> Result<(Band, Vec<Part<'t>>), Fault> {
    const WRONG: Fault = Fault::Segment("scan header");
    let (count, rest) = header.split_first().ok_or(WRONG)?;
    let (names, rest) = rest.split_at_checked(2 * usize::from(*count)).ok_or(WRONG)?;
    let [first, last, bits] = *<&[u8; 3]>::try_from(rest).map_err(|_| WRONG)?;
    let band = match frame.progressive {
        true => Band { progressive: true, first: first.into(), last: last.into(), before: bits >> 4, low: bits & 15 },
        false => Band { progressive: false, first: 0, last: 63, before: 0, low: 0 },
    };
    let (dc, ac) = (!band.progressive || (band.first == 0 && band.before == 0), !band.progressive || band.first > 0);
    let part = |&[id, numbers]: &[u8; 2]| {
        let component = frame.components.iter().position(|c| c.id == id).ok_or(WRONG)?;
        let dc = dc.then(|| tables.dc(usize::from(numbers >> 4))).transpose()?;
        let ac = ac.then(|| tables.ac(usize::from(numbers & 15))).transpose()?;
        Ok(Part { component, dc, ac, last: 0 })
    };
    let parts = names.as_chunks().0.iter().map(part).collect::<Result<Vec<Part>, Fault>>()?;
    let order = parts.is_sorted_by(|a, b| a.component < b.component);
    let single = band.first == 0 || parts.len() == 1;
    let values =
        if band.first == 0 { !band.progressive || band.last == 0 } else { (band.first..64).contains(&band.last) };
    let bits = band.low <= 13 && (band.before == 0 || band.before == band.low + 1);
    if parts.is_empty() || !(order && single && values && bits) { Err(WRONG) } else { Ok((band, parts)) }
}

/// Notes which bits come, which must be the next ones, and keeps the quantization tables that hold now.
fn begin(frame: &mut Frame, tables: &Tables, band: Band, parts: &[Part]) -> Result<(), Fault> {
    for part in parts {
        let component = frame.components.get_mut(part.component).ok_or(Fault::Order)?;
        if component.quantization.is_none() {
            component.quantization = Some(tables.steps(component.table)?.clone());
        }
        for missing in component.missing.iter_mut().take(band.last + 1).skip(band.first) {
            let expected = (band.before > 0).then_some(band.before);
            if missing.replace(band.low) != expected {
                return Err(Fault::Order);
            }
        }
    }
    Ok(())
}

struct Scan<'f, 't, 'b> {
    frame: &'f mut Frame,
    band: Band,
    parts: Vec<Part<'t>>,
    bits: Bits<'b>,
    /// Blocks to come of which nothing is new.
    run: u32,
}

impl<'b> Scan<'_, '_, 'b> {
    fn blocks(mut self, interval: usize) -> Result<&'b [u8], Fault> {
        let single = match self.parts.as_slice() {
            [part] => self.frame.components.get(part.component).map(|c| c.blocks),
            _ => None,
        };
        let [across, down] = single.unwrap_or(self.frame.mcus);
        let mut markers = 0;
        for number in 0..across * down {
            if interval > 0 && number > 0 && number.is_multiple_of(interval) {
                self.restart(markers)?;
                markers += 1;
            }
            self.mcu([number % across, number / across], single.is_some())?;
        }
        let rest = self.end()?;
        // Some cameras write a marker behind the last interval, too.
        let whole = interval > 0 && (across * down).is_multiple_of(interval);
        match rest {
            [0xff, marker, rest @ ..] if whole && *marker == 0xd0 | (markers % 8) => Ok(rest),
            _ => Ok(rest),
        }
    }

    /// What follows the last block: no run may go on.
    fn end(&mut self) -> Result<&'b [u8], Fault> {
        let bits = std::mem::replace(&mut self.bits, Bits::new(&[]));
        if self.run > 0 { Err(Fault::Short) } else { bits.end() }
    }

    fn restart(&mut self, markers: u8) -> Result<(), Fault> {
        match self.end()? {
            [0xff, marker, rest @ ..] if *marker == 0xd0 | (markers % 8) => self.bits = Bits::new(rest),
            _ => return Err(Fault::Restart),
        }
        self.parts.iter_mut().for_each(|p| p.last = 0);
        Ok(())
    }

    fn mcu(&mut self, [x, y]: [usize; 2], single: bool) -> Result<(), Fault> {
        for part in &mut self.parts {
            let component = self.frame.components.get_mut(part.component).ok_or(Fault::Order)?;
            let [across, down] = if single { [1, 1] } else { component.sampling };
            for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
                let at = [x * across + column, y * down + row];
                let mut coder = Coder { bits: &mut self.bits, band: self.band, run: &mut self.run };
                coder.block(component, part, at)?;
            }
        }
        Ok(())
    }
}

/// Decodes a block.
struct Coder<'s, 'b> {
    bits: &'s mut Bits<'b>,
    band: Band,
    run: &'s mut u32,
}

impl Coder<'_, '_> {
    fn block(&mut self, component: &mut Component, part: &mut Part, [column, row]: [usize; 2]) -> Result<(), Fault> {
        let Some(quantization) = &component.quantization else { return Err(Fault::Table) };
        if !self.band.progressive {
            let mut block = [0; 64];
            self.first_value(&mut block, part, &quantization.largest)?;
            let reach = self.other_values(&mut block, part.ac, &quantization.largest)?;
            let samples = pixels::samples(&block, &quantization.steps, reach);
            component.put(column, row, &samples);
            return Ok(());
        }
        let largest = &quantization.largest;
        let at = 64 * (row * component.stride + column);
        let values = component.values.get_mut(at..).and_then(<[i16]>::first_chunk_mut);
        let block: &mut Block = values.ok_or(Fault::Segment("frame"))?;
        match (self.band.first, self.band.before) {
            (0, 0) => self.first_value(block, part, largest),
            (0, _) => {
                block[0] |= (self.bits.take(1)? as i16) << self.band.low;
                Ok(())
            }
            (_, 0) => self.other_values(block, part.ac, largest).map(|_| ()),
            _ => self.refine(block, part.ac),
        }
    }

    /// The first value of a block, which is coded as the difference from the last block's.
    fn first_value(&mut self, block: &mut Block, part: &mut Part, largest: &[i32; 64]) -> Result<(), Fault> {
        let length = self.bits.symbol(part.dc.ok_or(Fault::Table)?)?;
        part.last += self.bits.value(u32::from(length))?;
        let value = part.last << self.band.low;
        // A negative value was rounded away from zero by its lower bits.
        if value > largest[0] || value < -largest[0] - (1 << self.band.low) {
            return Err(Fault::Value);
        }
        block[0] = value as i16;
        Ok(())
    }

    /// Other values, which come with all their higher bits; the place of the last one, 0 if there is none.
    fn other_values(&mut self, block: &mut Block, table: Option<&Table>, largest: &[i32; 64]) -> Result<usize, Fault> {
        let (table, mut reach) = (table.ok_or(Fault::Table)?, 0);
        if *self.run > 0 {
            *self.run -= 1;
            return Ok(0);
        }
        let mut k = self.band.first.max(1);
        while k <= self.band.last {
            let symbol = self.bits.symbol(table)?;
            let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            k += zeros;
            if length == 0 {
                if zeros < 15 {
                    *self.run = self.ends(zeros as u32)? - 1;
                    return Ok(reach);
                }
            } else {
                let value = self.bits.value(length)? << self.band.low;
                let slot = ZIGZAG.get(k).and_then(|&place| block.get_mut(usize::from(place)));
                let slot = slot.filter(|_| k <= self.band.last).ok_or(Fault::Full)?;
                if largest.get(k).is_none_or(|l| value.abs() > *l) {
                    return Err(Fault::Value);
                }
                *slot = value as i16;
                reach = k;
            }
            k += 1;
        }
        // Sixteen zeros come before a value, never last.
        if k > self.band.last + 1 { Err(Fault::Full) } else { Ok(reach) }
    }

    /// How many blocks end here, this one among them; only progressive scans have runs of them.
    fn ends(&mut self, bits: u32) -> Result<u32, Fault> {
        match (bits, self.band.progressive) {
            (0, _) => Ok(1),
            (_, true) => Ok((1 << bits) + self.bits.take(bits)?),
            _ => Err(Fault::Code),
        }
    }

    /// One more bit of each value that is there, and values that begin with this bit.
    fn refine(&mut self, block: &mut Block, table: Option<&Table>) -> Result<(), Fault> {
        let (table, mut k) = (table.ok_or(Fault::Table)?, self.band.first);
        while *self.run == 0 && k <= self.band.last {
            let symbol = self.bits.symbol(table)?;
            let (zeros, length) = (symbol >> 4, symbol & 15);
            let value = match (length, zeros) {
                (0, 15) => 0,
                (0, _) => {
                    *self.run = self.ends(u32::from(zeros))?;
                    break;
                }
                (1, _) if self.bits.take(1)? == 1 => 1 << self.band.low,
                (1, _) => -1 << self.band.low,
                _ => return Err(Fault::Code),
            };
            k = self.skip(block, k, Some(zeros))?;
            if k > self.band.last {
                return Err(Fault::Full);
            }
            if let Some(slot) =
                ZIGZAG.get(k).and_then(|&place| block.get_mut(usize::from(place))).filter(|_| value != 0)
            {
                *slot = value;
            }
            k += 1;
        }
        if *self.run > 0 {
            self.skip(block, k, None)?;
            *self.run -= 1;
        }
        Ok(())
    }

    /// Refines values up to the zero after so many zeros, or up to the last; where it ends.
    fn skip(&mut self, block: &mut Block, from: usize, zeros: Option<u8>) -> Result<usize, Fault> {
        let mut left = zeros;
        for (k, place) in ZIGZAG.iter().enumerate().take(self.band.last + 1).skip(from) {
            let Some(value) = block.get_mut(usize::from(*place)) else { continue };
            match (*value, left) {
                (0, Some(0)) => return Ok(k),
                (0, _) => left = left.map(|l| l - 1),
                _ if self.bits.take(1)? == 1 => *value += value.signum() << self.band.low,
                _ => {}
            }
        }
        Ok(self.band.last + 1)
    }
}
