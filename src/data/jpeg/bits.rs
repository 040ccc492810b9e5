//! The bits of an entropy-coded segment, and the Huffman codes in them.

use super::fault::Fault;

/// Bits of a segment, the most significant first, without the zeros stuffed behind 0xff.
pub(super) struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
    /// The next `count` bits, left-aligned; what follows them is either zero or the data's own.
    held: u64,
    count: u32,
}

impl<'b> Bits<'b> {
    pub fn new(bytes: &'b [u8]) -> Bits<'b> {
        Bits { bytes, at: 0, held: 0, count: 0 }
    }

    /// At least 32 bits, if there are as many before the next marker.
    #[inline]
    fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*eight);
            // Without a byte of ones, nothing is stuffed and no marker begins.
            let inverse = !word;
            if inverse.wrapping_sub(0x0101_0101_0101_0101) & !inverse & 0x8080_8080_8080_8080 == 0 {
                let bytes = (63 - self.count) / 8;
                self.held |= word >> self.count;
                self.at += bytes as usize;
                self.count += bytes * 8;
                return;
            }
        }
        self.fill_bytewise();
    }

    fn fill_bytewise(&mut self) {
        while self.count <= 55 {
            let byte = match self.bytes.get(self.at..) {
                Some([0xff, 0, ..]) => {
                    self.at += 2;
                    0xff
                }
                Some([0xff, ..] | []) | None => return,
                Some([byte, ..]) => {
                    self.at += 1;
                    *byte
                }
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline]
    fn drop(&mut self, n: u32) -> Result<(), Fault> {
        self.count = self.count.checked_sub(n).ok_or(if self.ended() { Fault::Truncated } else { Fault::Short })?;
        self.held <<= n;
        Ok(())
    }

    /// Whether the file ends here, without a marker.
    fn ended(&self) -> bool {
        self.bytes.len() <= self.at + 1
    }

    /// The next `n` bits, at most 16.
    #[inline]
    pub fn take(&mut self, n: u32) -> Result<u32, Fault> {
        self.fill();
        let value = (self.held >> 32 >> (32 - n)) as u32;
        self.drop(n)?;
        Ok(value)
    }

    /// The value of `n` bits, at most 15, that follow a symbol: 32 bits hold both, so nothing is filled up between them.
    #[inline]
    pub fn value(&mut self, n: u32) -> Result<i32, Fault> {
        let bits = (self.held >> 32 >> (32 - n)) as i32;
        let negative = n > 0 && self.held >> 63 == 0;
        self.drop(n)?;
        Ok(if negative { bits - (1 << n) + 1 } else { bits })
    }

    /// The next symbol.
    #[inline]
    pub fn symbol(&mut self, table: &Table) -> Result<u8, Fault> {
        self.fill();
        let (length, symbol) = match table.short.get((self.held >> (64 - SHORT)) as usize) {
            Some(&entry) if entry > 0 => (u32::from(entry >> 8), entry as u8),
            _ => table.long((self.held >> 48) as u32)?,
        };
        self.drop(length)?;
        Ok(symbol)
    }

    /// What follows the segment's last block: its marker. Of the byte begun, bits may be left; further bytes may be zero, as some cameras
    /// leave them, and 0xff before a marker.
    pub fn end(self) -> Result<&'b [u8], Fault> {
        let unread = self.held << (self.count % 8) >> (64 - self.count / 8 * 8).min(63);
        let at = self.bytes.get(self.at..).unwrap_or_default();
        let zeros = at.iter().take_while(|b| **b == 0).count();
        let rest = at.get(zeros..).unwrap_or_default();
        match rest {
            _ if self.count >= 8 && unread > 0 => Err(Fault::Left),
            [] | [0xff] => Err(Fault::Truncated),
            [0xff, 1..=0xff, ..] => Ok(rest),
            _ => Err(Fault::Left),
        }
    }
}

/// Codes up to this length are looked up at once.
const SHORT: u32 = 10;

/// A Huffman table.
#[derive(Clone)]
pub(super) struct Table {
    /// For every beginning of `SHORT` bits the length of its code, times 256, and its symbol; 0 for longer codes.
    short: Vec<u16>,
    /// For each length from 1: the first code beyond those of that length, left-aligned in 16 bits, and what to add to a code for its
    /// place among the symbols.
    lengths: [(u32, i32); 16],
    symbols: Vec<u8>,
}

impl Table {
    /// From the number of codes of each length and the symbols in the order of their codes; nothing if these are no prefix code.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Table> {
        let (mut code, mut place) = (0u32, 0i32);
        let (mut short, mut lengths) = (vec![0; 1 << SHORT], [(0, 0); 16]);
        for ((length, &count), slot) in (1u32..).zip(counts).zip(&mut lengths) {
            let (first, offset) = (code, place - code as i32);
            code += u32::from(count);
            place += i32::from(count);
            // The code of ones alone is no code.
            if code > (1 << length) - u32::from(count > 0) || place as usize > symbols.len() {
                return None;
            }
            *slot = (code << (16 - length), offset);
            for one in first..if length <= SHORT { code } else { first } {
                let symbol = symbols.get((one as i32 + offset) as usize)?;
                let begins = short.iter_mut().skip((one << (SHORT - length)) as usize);
                begins.take(1 << (SHORT - length)).for_each(|e| *e = (length as u16) << 8 | u16::from(*symbol));
            }
            code <<= 1;
        }
        (place as usize == symbols.len() && place > 0).then(|| Table { short, lengths, symbols: symbols.to_vec() })
    }

    #[cold]
    fn long(&self, next: u32) -> Result<(u32, u8), Fault> {
        let found = (1u32..).zip(&self.lengths).skip(SHORT as usize).find(|(_, (beyond, _))| next < *beyond);
        let (length, (_, offset)) = found.ok_or(Fault::Code)?;
        let place = (next >> (16 - length)) as i32 + offset;
        let symbol = usize::try_from(place).ok().and_then(|p| self.symbols.get(p)).ok_or(Fault::Code)?;
        Ok((length, *symbol))
    }

    /// The tables that a file without any means, as the frames of many webcams: those of the standard's annex K. First for the DC values of
    /// luminance and chrominance, then for their AC values.
    pub fn standard() -> [Option<Table>; 4] {
        let dc: Vec<u8> = (0..12).collect();
        [
            Table::new(&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &dc),
            Table::new(&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &dc),
            Table::new(&[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &AC_LUMINANCE),
            Table::new(&[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &AC_CHROMINANCE),
        ]
    }
}

#[rustfmt::skip]
const AC_LUMINANCE: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81,
    0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18,
    0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
    0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5,
    0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[rustfmt::skip]
const AC_CHROMINANCE: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08,
    0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25,
    0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47,
    0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
    0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4,
    0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
