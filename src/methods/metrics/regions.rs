//! Connected regions of masks, and the area under a curve up to a limit: the parts of AUPRO.

/// Connected regions of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// Number of each pixel's region, counted from 1 in reading order; 0 where the mask is not set.
    pub labels: Vec<u32>,
    /// Pixels of each region.
    pub sizes: Vec<u64>,
}

/// The 8-connected regions of a mask whose rows have `width` pixels.
pub fn components(mask: &[bool], width: usize) -> Components {
    let mut found = Components { labels: vec![0; mask.len()], sizes: vec![] };
    let mut open = vec![];
    for start in 0..mask.len() {
        let label = found.sizes.len() as u32 + 1;
        let mut size = 0;
        open.push(start);
        while let Some(at) = open.pop() {
            match (mask.get(at), found.labels.get_mut(at)) {
                (Some(true), Some(seen @ 0)) => *seen = label,
                _ => continue,
            }
            size += 1;
            open.extend(neighbours(at, width));
        }
        if size > 0 {
            found.sizes.push(size);
        }
    }
    found
}

/// The pixels around one, diagonals too; those below the last row are not cut off.
fn neighbours(at: usize, width: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (at % width.max(1), at / width.max(1));
    let columns = x.saturating_sub(1)..(x + 2).min(width);
    let rows = y.saturating_sub(1)..y + 2;
    rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
}

/// Area under the straight lines that join `points`, (x, y) with x rising from 0, up to x = `limit`, divided by it.
///
/// The line that crosses the limit is cut there, as in MVTec's evaluation code.
pub fn area(points: impl IntoIterator<Item = (f64, f64)>, limit: f64) -> f64 {
    let (mut sum, mut last) = (0.0, (0.0, 0.0));
    for (x, y) in points {
        if x > limit {
            let cut = last.1 + (y - last.1) * (limit - last.0) / (x - last.0);
            sum += (limit - last.0) * (last.1 + cut) / 2.0;
            break;
        }
        sum += (x - last.0) * (last.1 + y) / 2.0;
        last = (x, y);
    }
    sum / limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(rows: &[&str]) -> Components {
        let mask: Vec<bool> = rows.iter().flat_map(|r| r.bytes().map(|b| b == b'#')).collect();
        components(&mask, rows[0].len())
    }

    #[test]
    fn diagonals_connect_and_rows_do_not_wrap() {
        let c = labels(&["#..#", ".#..", "#..#", "...#"]);
        assert_eq!(c.sizes, [3, 1, 2]);
        assert_eq!(c.labels, [1, 0, 0, 2, 0, 1, 0, 0, 1, 0, 0, 3, 0, 0, 0, 3]);
        assert!(components(&[], 0).sizes.is_empty());
        assert_eq!(components(&[true, true], 0).sizes.iter().sum::<u64>(), 2, "a width of 0 ends too");
    }

    #[test]
    fn a_region_of_any_shape_is_one() {
        assert_eq!(labels(&["#.#", "#.#", "###"]).sizes, [7]);
        assert_eq!(labels(&["#.#", ".#.", "#.#"]).sizes, [5]);
    }

    #[test]
    fn area_is_cut_at_the_limit() {
        let line = [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)];
        assert!((area(line, 1.0) - 0.875).abs() < 1e-15);
        assert!((area(line, 0.25) - 0.625).abs() < 1e-15, "0.5 rises to 0.75");
        assert!((area(line, 0.5) - 0.75).abs() < 1e-15, "a point at the limit");
    }
}
