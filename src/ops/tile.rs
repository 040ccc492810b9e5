//! Tiles of the products in workgroup memory: which there are, and which of them a product of certain sizes gets.

use crate::engine::{Caps, ENOUGH, Family, Kernel};

/// A tile of a product; an invocation keeps `rows x columns` sums of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Invocations side by side, which share rows.
    pub across: usize,
    /// Invocations below each other, which share columns.
    pub down: usize,
    /// Rows of an invocation.
    pub rows: usize,
    /// Columns of an invocation.
    pub columns: usize,
    /// Steps of k in workgroup memory at a time.
    pub step: usize,
    /// Steps of k that are written out.
    pub written: usize,
    /// Whether the next steps are loaded into registers while these are multiplied.
    pub ahead: bool,
}

impl Tile {
    pub(crate) fn invocations(&self) -> usize {
        self.across * self.down
    }

    /// Rows and columns of the whole tile.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.down * self.rows, self.across * self.columns]
    }

    /// Workgroups along columns and rows of a product of so many rows and columns.
    pub(crate) fn groups(&self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        [columns.div_ceil(self.size()[1]), rows.div_ceil(self.size()[0])]
    }

    /// Bytes of workgroup memory: both operands, and four floats beside each step's rows.
    pub(crate) fn shared_bytes(&self) -> usize {
        4 * self.step * (self.size()[0] + 4 + self.size()[1])
    }

    /// Trips of an invocation's loops through `steps` of the tile in `parts`.
    pub(crate) fn trips(&self, steps: usize, parts: usize) -> usize {
        (steps + parts) * (2 + self.step / self.written)
    }

    /// The kernel with the constants that a tile overwrites, and its step as a param.
    pub(crate) fn set(&self, kernel: Kernel) -> Kernel {
        let sizes = [
            ("WX", self.across),
            ("WY", self.down),
            ("TM", self.rows),
            ("TN", self.columns),
            ("TK", self.step),
            ("TU", self.written),
        ];
        let kernel = sizes.into_iter().fold(kernel, |kernel, (name, value)| kernel.set(name, format!("{value}u")));
        kernel.set("AHEAD", self.ahead).param("step", self.step)
    }
}

/// Steps of k that a tile has in workgroup memory at a time, where k is long.
pub(crate) const STEP: usize = 16;

const AMD: u32 = 0x1002;
const INTEL: u32 = 0x8086;
pub(crate) const ARM: u32 = 0x13b5;
const QUALCOMM: u32 = 0x5143;

/// The tiles, largest first where a chip has room for it; where it is open whether to load ahead, the other choice of each follows.
///
/// What compilers make of each on eight chips stands in benches/RESULTS.md, and tests/isa holds it: 8x8 is densest wherever its 64
/// sums fit in registers. Intel has 128 of them, so few that four steps of k at once spill, or loading ahead; Arm has 64, where only
/// 4x4 does not spill. Loading ahead costs AMD nothing, puts moves into Adreno's loops, and into Mesa's for NVIDIA where a tile is 4x4.
pub(crate) fn tiles(caps: &Caps) -> Vec<Tile> {
    let written = if caps.vendor == INTEL { 1 } else { 4 };
    let open = ![AMD, INTEL, ARM, QUALCOMM].contains(&caps.vendor);
    let tile = |across, rows, columns, written| {
        let ahead = caps.vendor == AMD || open && rows * columns > 16;
        Tile { across, down: across, rows, columns, step: STEP, written, ahead }
    };
    let mut tiles = vec![tile(16, 8, 8, written), tile(8, 8, 8, written), tile(8, 8, 4, 4), tile(8, 4, 4, 4)];
    if caps.vendor == ARM {
        tiles.drain(..3);
    }
    if caps.vendor == QUALCOMM {
        tiles.swap(0, 1); // 128x128 leaves room for 2 waves a core, 64x64 for 6
    }
    if open {
        tiles.extend_from_within(..);
        tiles[4..].iter_mut().for_each(|t| t.ahead = !t.ahead);
    }
    tiles
}

/// Most columns that get a tile as wide as they are.
pub(crate) const NARROW: usize = 40;

/// Tiles just as wide as few columns, which are in fours.
pub(crate) fn narrow(columns: usize, caps: &Caps) -> Vec<Tile> {
    let written = if caps.vendor == INTEL { 1 } else { 4 };
    let tile = |rows| Tile { across: columns / 4, down: 16, rows, columns: 4, step: STEP, written, ahead: false };
    let rows: &[usize] = if caps.vendor == ARM { &[4] } else { &[8, 4] };
    if columns <= NARROW { rows.iter().map(|&rows| tile(rows)).collect() } else { vec![] }
}

/// The tiles for a product of `outputs` rows and columns, of which `groups` tells the workgroups by tile, best guess first: the largest
/// that still gives [`ENOUGH`], else the one that gives most, the smallest of several. Tiles that compute an eighth more beyond the edges
/// than the most fitting one come later.
pub(crate) fn by_need(mut tiles: Vec<Tile>, outputs: [usize; 2], groups: impl Fn(&Tile) -> usize) -> Vec<Tile> {
    let computed = |t: &Tile| t.groups(outputs).iter().chain(&t.size()).product::<usize>();
    let least = tiles.iter().map(computed).min().unwrap_or(0);
    tiles.sort_by_key(|t| 8 * computed(t) > 9 * least);
    let fitting = tiles.iter().take_while(|t| 8 * computed(t) <= 9 * least).count();
    let enough = tiles[..fitting].iter().position(|t| groups(t) >= ENOUGH as usize);
    let most = || (0..fitting).max_by_key(|&i| (groups(&tiles[i]), !tiles[i].ahead));
    if let Some(first) = enough.or_else(most) {
        tiles[..=first].rotate_right(1);
    }
    tiles
}

/// How a kernel goes through a sum that has parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The sum is one part.
    Whole,
    /// A workgroup sums all parts, one after the other.
    Walk,
    /// A workgroup sums one part; another dispatch adds them up.
    Split,
}

/// A sum over k that is made in parts: each from zero, then added in their order, so that the bits do not depend on who sums what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Steps of a tile in the whole sum.
    pub steps: usize,
    /// How many parts it has; they are equally long.
    pub parts: usize,
}

impl Sum {
    /// The sum of `steps` steps for outputs of one picture `[rows, columns]`, in parts where even the smallest tile gives half of [`ENOUGH`]
    /// workgroups at most: so many that 64x32 tiles make [`ENOUGH`], where each is of `least` steps or more, or as many as there may be.
    /// The batch has no say, or it would change bits.
    pub(crate) fn new(alone: [usize; 2], steps: usize, least: usize) -> Sum {
        let tile = |rows| Tile { across: 8, down: 8, rows, columns: 4, step: STEP, written: 4, ahead: false };
        let groups = |rows| tile(rows).groups(alone).iter().product::<usize>();
        if 2 * groups(4) > ENOUGH as usize {
            return Sum::whole(steps);
        }
        let wanted = (ENOUGH as usize).div_ceil(groups(8));
        let mut possible = (1..=steps / least).filter(|parts| steps.is_multiple_of(*parts));
        let parts = possible.clone().find(|&parts| parts >= wanted).or(possible.next_back()).unwrap_or(1);
        Sum { steps, parts }
    }

    /// A sum of one part.
    pub(crate) fn whole(steps: usize) -> Sum {
        Sum { steps, parts: 1 }
    }

    /// The sums that an adapter gets candidates for. A driver on the processor has no use for parts; where its own kernels do not fit, the
    /// whole sum comes first, which is added up as they do.
    pub(crate) fn offered(self, caps: &Caps) -> Vec<Sum> {
        match caps.family {
            Family::Software if self.parts > 1 => vec![Sum::whole(self.steps), self],
            _ => vec![self],
        }
    }

    /// Name of the order in which it adds up.
    pub(crate) fn order(&self) -> &'static str {
        if self.parts == 1 { "gemm" } else { "gemm in parts" }
    }

    /// Steps of a part.
    pub(crate) fn part(&self) -> usize {
        self.steps / self.parts
    }

    /// Tiles and ways for a product of which `groups` tells the workgroups by tile, best guess first: parts are split where all of them
    /// together in one workgroup give too few.
    pub(crate) fn ways(
        &self,
        tiles: Vec<Tile>,
        outputs: [usize; 2],
        groups: impl Fn(&Tile) -> usize,
    ) -> Vec<(Tile, Way)> {
        let with = |tiles: Vec<Tile>, way| tiles.into_iter().map(move |t| (t, way));
        if self.parts == 1 {
            return with(by_need(tiles, outputs, groups), Way::Whole).collect();
        }
        let walking = by_need(tiles.clone(), outputs, &groups);
        let split = by_need(tiles, outputs, |t| groups(t) * self.parts);
        let enough = walking.first().is_some_and(|t| groups(t) >= ENOUGH as usize);
        let (walking, split) = (with(walking, Way::Walk), with(split, Way::Split));
        if enough { walking.chain(split).collect() } else { split.chain(walking).collect() }
    }

    /// The kernel with what `way` overwrites, for a tile of this step.
    pub(crate) fn set(&self, kernel: Kernel, step: usize, way: Way) -> Kernel {
        let kernel = kernel.param("parts", self.parts).param("part", self.part() * step / 4);
        kernel.set("SPLIT", way == Way::Split).set("WALK", way == Way::Walk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(alone: [usize; 2], k: usize) -> Sum {
        Sum::new(alone, k.div_ceil(STEP), 2)
    }

    #[test]
    fn parts_follow_outputs_and_length() {
        // Layers of ResNet-18 at 224x224: outputs of a picture, k.
        assert_eq!(sum([12544, 64], 576).parts, 1);
        assert_eq!(sum([3136, 64], 576).parts, 1);
        assert_eq!(sum([784, 128], 1152).parts, 6);
        assert_eq!(sum([196, 256], 2304).parts, 8);
        assert_eq!(sum([49, 512], 4608).parts, 16);
        assert_eq!(sum([49, 512], 256).parts, 8);
        assert_eq!(sum([1, 4], 16).parts, 1);
    }

    #[test]
    fn the_largest_tile_that_gives_enough_comes_first() {
        let first = |outputs: [usize; 2]| {
            let groups = |t: &Tile| t.groups(outputs).iter().product();
            by_need(tiles(&Caps::BASE), outputs, groups)[0].size()
        };
        assert_eq!(first([4096, 4096]), [128, 128]);
        assert_eq!(first([2048, 2048]), [128, 128]);
        assert_eq!(first([1920, 2048]), [64, 64]);
        assert_eq!(first([1024, 1024]), [64, 64]);
        assert_eq!(first([1024, 512]), [64, 32]);
        assert_eq!(first([512, 512]), [32, 32]);
        assert_eq!(first([32, 32]), [32, 32]);
        assert_eq!(first([100_000, 64]), [64, 64]);
        assert_eq!(first([1, 4096]), [32, 32]);
    }

    #[test]
    fn parts_are_split_where_one_workgroup_for_all_gives_too_few() {
        let long = sum([49, 512], 4608);
        let first = |batch: usize| {
            let outputs = [49 * batch, 512];
            let groups = |t: &Tile| t.groups(outputs).iter().product();
            let (tile, way) = long.ways(tiles(&Caps::BASE), outputs, groups)[0];
            (tile.size(), way)
        };
        assert_eq!(first(1), ([64, 32], Way::Split));
        assert_eq!(first(32), ([64, 32], Way::Walk));
        assert_eq!(first(128), ([64, 64], Way::Walk));
    }
}
