//! Cases of the engine's own nodes, which join the two forms of memory.

use crate::engine::convert::{ToBuffer, ToImage};
use crate::ops::Case;

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let shapes: [&[usize]; 8] =
        [&[1, 1, 1, 1], &[2, 5, 7, 3], &[3, 4, 9, 8], &[1, 17, 1, 130], &[65, 33], &[37, 70], &[3, 7, 10], &[9000, 5]];
    let mut cases = vec![];
    for s in shapes {
        cases.push(Case::new(ToImage { pad: 2 }, &[s]));
        cases.push(Case::new(ToBuffer, &[s]));
    }
    cases
}
