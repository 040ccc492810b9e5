//! A JPEG's frame: its size and its components.

use super::fault::Fault;
use super::tables::Quantization;
use crate::data::decode::bounded;
use crate::data::picture::Limits;

/// The values of a block, row by row.
pub(super) type Block = [i16; 64];

/// The picture's size, and what it consists of.
pub(super) struct Frame {
    pub progressive: bool,
    /// Columns and rows, of pixels and of MCUs.
    pub size: [usize; 2],
    pub mcus: [usize; 2],
    /// The largest sampling factors, across and down.
    pub most: [usize; 2],
    pub components: Vec<Component>,
}

/// A component, such as luma.
pub(super) struct Component {
    pub id: u8,
    /// Sampling factors, across and down.
    pub sampling: [usize; 2],
    /// The number of its quantization table, and the table since its first scan.
    pub table: usize,
    pub quantization: Option<Quantization>,
    /// Columns and rows, of samples and of blocks.
    pub size: [usize; 2],
    pub blocks: [usize; 2],
    /// Columns of blocks with those that fill up the last MCU.
    pub stride: usize,
    /// For each of a block's values in the file's order, how many of its bits have not come yet; nothing if none has.
    pub missing: [Option<u8>; 64],
    /// The values of progressive frames, 64 of each block.
    pub values: Vec<i16>,
    /// Samples, `8 * stride` in a row.
    pub samples: Vec<u8>,
}

impl Component {
    /// Puts the samples of a block in their place.
    pub fn put(&mut self, column: usize, row: usize, samples: &[[u8; 8]; 8]) {
        let wide = 8 * self.stride;
        let place = self.samples.get_mut(8 * (row * wide + column)..).unwrap_or_default();
        for (line, samples) in place.chunks_mut(wide.max(1)).zip(samples) {
            if let Some(line) = line.first_chunk_mut() {
                *line = *samples;
            }
        }
    }
}

impl Frame {
    /// From a segment that begins a frame.
    pub fn parse(marker: u8, body: &[u8], limits: Limits) -> Result<Frame, String> {
        const WRONG: Fault = Fault::Segment("frame");
        let Some((&[bits, h1, h0, w1, w0, count], parts)) = body.split_first_chunk() else { return Err(WRONG.into()) };
        let size = [[w1, w0], [h1, h0]].map(|v| usize::from(u16::from_be_bytes(v)));
        match (bits, count) {
            (8, 4) => return Err("is a CMYK JPEG, whose colours depend on the printer; save it as RGB".into()),
            (8, 1 | 3) => {}
            (8, _) => return Err(format!("is a JPEG with {count} channels; save it as gray or RGB")),
            _ => return Err("is a JPEG with more than 8 bits per channel; save it as PNG or TIFF with 16 bits".into()),
        }
        bounded(size, limits)?;
        let (parts, rest) = parts.as_chunks::<3>();
        let sampling = |v: u8| [v >> 4, v & 15].map(usize::from);
        let valid = |[id, s, table]: &[u8; 3]| {
            sampling(*s).iter().all(|f| (1..=4).contains(f))
                && *table < 4
                && parts.iter().filter(|p| p[0] == *id).count() == 1
        };
        if parts.len() != usize::from(count) || !rest.is_empty() || !parts.iter().all(valid) {
            return Err(WRONG.into());
        }
        let factors = || parts.iter().map(|p| sampling(p[1]));
        let most = factors().fold([1, 1], |most, f| [most[0].max(f[0]), most[1].max(f[1])]);
        if factors().any(|f| !most[0].is_multiple_of(f[0]) || !most[1].is_multiple_of(f[1])) {
            return Err("is a JPEG whose channels have sizes that do not divide each other; save it anew".into());
        }
        let mcus = [size[0].div_ceil(8 * most[0]), size[1].div_ceil(8 * most[1])];
        let mut frame = Frame { progressive: marker == 0xc2, size, mcus, most, components: vec![] };
        let component = |[id, s, table]: &[u8; 3]| frame.component(*id, sampling(*s), usize::from(*table));
        frame.components = parts.iter().map(component).collect();
        Ok(frame)
    }

    fn component(&self, id: u8, sampling: [usize; 2], table: usize) -> Component {
        let along = |whole: usize, of: usize, most: usize| (whole * of).div_ceil(most);
        let size = [along(self.size[0], sampling[0], self.most[0]), along(self.size[1], sampling[1], self.most[1])];
        let (stride, rows) = (self.mcus[0] * sampling[0], self.mcus[1] * sampling[1]);
        let all = stride * rows;
        let [values, samples] = if self.progressive { [64 * all, 0] } else { [0, 64 * all] };
        Component {
            id,
            sampling,
            table,
            quantization: None,
            size,
            blocks: size.map(|s| s.div_ceil(8)),
            stride,
            missing: [None; 64],
            values: vec![0; values],
            samples: vec![0; samples],
        }
    }

    /// Whether all bits of all values have come.
    pub fn is_complete(&self) -> bool {
        self.components.iter().all(|c| c.quantization.is_some() && c.missing.iter().all(|m| *m == Some(0)))
    }
}
