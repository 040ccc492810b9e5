//! The tables that a file's scans refer to.

use super::bits::Table;
use super::fault::Fault;

/// For each place in the file's order of a block's 64 values, its place in the block, row by row.
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What the values of a component are multiplied by.
#[derive(Clone)]
pub(super) struct Quantization {
    /// Row by row.
    pub steps: [u16; 64],
    /// How large each value can be, in the file's order.
    pub largest: [i32; 64],
}

/// A transformed block of 8 bits has values up to 1024; programs that enhance a picture's contrast may go a little further.
const LARGEST: i32 = 1536;

/// Tables, each under its number.
#[derive(Default)]
pub(super) struct Tables {
    quantization: [Option<Quantization>; 4],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// MCUs from one restart marker to the next; 0 without any.
    pub interval: usize,
}

impl Tables {
    pub fn steps(&self, number: usize) -> Result<&Quantization, Fault> {
        self.quantization.get(number).and_then(Option::as_ref).ok_or(Fault::Table)
    }

    pub fn dc(&self, number: usize) -> Result<&Table, Fault> {
        self.dc.get(number).and_then(Option::as_ref).ok_or(Fault::Table)
    }

    pub fn ac(&self, number: usize) -> Result<&Table, Fault> {
        self.ac.get(number).and_then(Option::as_ref).ok_or(Fault::Table)
    }

    /// Whether there is no Huffman table at all: the frames of many webcams leave out those of the standard.
    pub fn without_huffman(&self) -> bool {
        self.dc.iter().chain(&self.ac).all(Option::is_none)
    }

    /// The tables of the standard's annex K.
    pub fn set_standard(&mut self) {
        let [dc_first, dc_second, ac_first, ac_second] = Table::standard();
        self.dc = [dc_first, dc_second, None, None];
        self.ac = [ac_first, ac_second, None, None];
    }

    /// A segment of Huffman tables.
    pub fn huffman(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Segment("Huffman table");
        while let Some((&kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(WRONG)?;
            let total = counts.iter().map(|&c| usize::from(c)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or(WRONG)?;
            let table = Table::new(counts, symbols).ok_or(WRONG)?;
            let tables = match kind >> 4 {
                // DC symbols are lengths of at most 11 bits.
                0 if symbols.iter().all(|s| *s <= 11) => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(WRONG),
            };
            *tables.get_mut(usize::from(kind & 15)).ok_or(WRONG)? = Some(table);
            body = rest;
        }
        Ok(())
    }

    /// A segment of quantization tables.
    pub fn quantization(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Segment("quantization table");
        while let Some((&kind, rest)) = body.split_first() {
            let size = usize::from(kind >> 4) + 1;
            let (values, rest) = rest.split_at_checked(64 * size).filter(|_| size <= 2).ok_or(WRONG)?;
            let value = |v: &[u8]| v.iter().fold(0, |all, b| all << 8 | u16::from(*b));
            let mut table = Quantization { steps: [0; 64], largest: [0; 64] };
            let slots = ZIGZAG.iter().zip(&mut table.largest);
            for (step, (place, largest)) in values.chunks_exact(size).map(value).zip(slots) {
                let slot = table.steps.get_mut(usize::from(*place)).filter(|_| step > 0).ok_or(WRONG)?;
                *slot = step;
                *largest = (LARGEST + i32::from(step) / 2) / i32::from(step);
            }
            *self.quantization.get_mut(usize::from(kind & 15)).ok_or(WRONG)? = Some(table);
            body = rest;
        }
        Ok(())
    }

    /// A segment that defines the restart interval.
    pub fn restart(&mut self, body: &[u8]) -> Result<(), Fault> {
        let interval = <[u8; 2]>::try_from(body).map_err(|_| Fault::Segment("restart interval"))?;
        self.interval = usize::from(u16::from_be_bytes(interval));
        Ok(())
    }
}
