//! Which patches of a picture show the part, not what lies around it: by the first principal component of its tokens.

use super::spectrum::first_scores;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How the foreground is grown by a patch on all sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// On the grid of patches.
    Grid,
    /// On the list of patches, as the authors' code does: along rows only, and from a row's end to the next one's start.
    Column,
}

/// Scores beyond this are foreground. It belongs to the length of DINOv2's tokens, 45 to 50.
pub const THRESHOLD: f64 = 10.0;

/// The foreground of final tokens `[h, w, d]`, row by row.
pub fn foreground(tokens: &Tensor, growth: Growth) -> Vec<bool> {
    let grid = [tokens.shape.dim(0), tokens.shape.dim(1)];
    grown(&beyond(&first_scores(tokens), grid), grid, growth)
}

/// Patches of the grid whose score is beyond the threshold, on the side that covers more than 35 % of the centre, or else the other one.
pub fn beyond(scores: &[f64], [h, w]: [usize; 2]) -> Vec<bool> {
    let part = |n: usize, share: f64| (n as f64 * share) as usize;
    let inside = |i: usize, n: usize| (part(n, 0.2)..part(n, 0.8)).contains(&i);
    let above: Vec<bool> = scores.iter().map(|s| *s > THRESHOLD).collect();
    let centre = above.iter().enumerate().filter(|(i, _)| inside(i / w.max(1), h) && inside(i % w.max(1), w));
    let (count, of) = centre.fold((0, 0), |(count, of), (_, &is)| (count + usize::from(is), of + 1));
    if count as f64 <= f64::from(of) * 0.35 { scores.iter().map(|s| -s > THRESHOLD).collect() } else { above }
}

/// Grown by a patch, then gaps closed: dilated, and dilated and eroded, by 3x3.
pub fn grown(patches: &[bool], [h, w]: [usize; 2], growth: Growth) -> Vec<bool> {
    let grid = if growth == Growth::Grid { [h, w] } else { [h * w, 1] };
    let dilated = |from: &[bool]| around(from, grid, true);
    around(&dilated(&dilated(patches)), grid, false)
}

/// Whether any of the 3x3 patches around each is `found`, or, if that is false, whether all are true; what lies outside does not count.
fn around(patches: &[bool], [h, w]: [usize; 2], found: bool) -> Vec<bool> {
    let near = |i: usize, n: usize| i.saturating_sub(1)..(i + 2).min(n);
    let one = |i: usize| {
        let mut window = near(i / w.max(1), h).flat_map(|y| near(i % w.max(1), w).map(move |x| y * w + x));
        window.any(|at| patches.get(at) == Some(&found)) == found
    };
    (0..patches.len()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> Vec<bool> {
        text.bytes().filter(|b| *b != b' ').map(|b| b == b'#').collect()
    }

    #[test]
    fn grown_on_the_grid_and_along_the_list() {
        let one = bits("....... ....... ....... ...#... ....... ....... .......");
        let near = bits("....... ....... ..###.. ..###.. ..###.. ....... .......");
        assert_eq!(grown(&one, [7, 7], Growth::Grid), near);
        let beside = bits("....... ....... ....... ..###.. ....... ....... .......");
        assert_eq!(grown(&one, [7, 7], Growth::Column), beside);
        // The list goes on in the next row.
        assert_eq!(grown(&bits("..... ....# ..... ....."), [4, 5], Growth::Column), bits("..... ...## #.... ....."));
        // A gap of two is closed; at the edge, what lies outside does not erode.
        assert_eq!(grown(&bits("#..#......"), [1, 10], Growth::Grid), bits("#####....."));
        assert_eq!(grown(&bits("#....#...."), [1, 10], Growth::Grid), bits("#######..."));
        assert_eq!(grown(&bits("#.....#..."), [1, 10], Growth::Grid), bits("##...###.."));
    }

    #[test]
    fn the_side_that_fills_the_centre_is_the_part() {
        // Of 5x5 patches the centre is the rows and columns 1 to 3.
        let mut scores = vec![-20.0; 25];
        [6, 7, 8, 11].iter().for_each(|&i: &usize| scores[i] = 11.0);
        assert_eq!(beyond(&scores, [5, 5]).iter().filter(|b| **b).count(), 4, "four of nine are more than 35 %");
        scores[11] = 10.0; // not beyond it
        assert_eq!(beyond(&scores, [5, 5]).iter().filter(|b| **b).count(), 21, "three of nine are not");
        assert!(beyond(&[0.0; 25], [5, 5]).iter().all(|b| !b));
    }
}
