//! What kernels must reach on the chips, and what they reached before.

use crate::figures::Row;

/// Density below what is recorded by more than this is a loss; compilers are deterministic, so it covers rounding alone.
const ROUNDING: f64 = 0.002;

/// Floors of fma density of the candidate that is first for a chip.
const FLOORS: &[(&str, &str, f64)] = &[
    ("matmul", "AMD navi21", 0.85),
    ("matmul", "Intel dg2", 0.80),
    ("matmul", "Adreno 740", 0.80),
    ("matmul", "NVIDIA Ampere", 0.80),
    ("matmul", "Mali G610", 0.60),
    ("conv", "AMD navi21", 0.70),
    ("conv", "AMD gfx1100", 0.65),
    ("conv", "AMD vega10", 0.65),
    ("conv", "Intel dg2", 0.65),
    ("conv", "Intel bmg", 0.65),
    ("conv", "Adreno 740", 0.65),
    ("conv", "NVIDIA Ampere", 0.65),
    ("conv dw", "AMD navi21", 0.85),
    ("conv dw", "AMD gfx1100", 0.85),
    ("conv dw", "AMD vega10", 0.85),
    ("conv dw", "Intel dg2", 0.80),
    ("conv dw", "Intel bmg", 0.80),
    ("conv dw", "Adreno 740", 0.80),
    ("conv dw", "NVIDIA Ampere", 0.80),
    ("conv dw", "Mali G610", 0.60),
    ("attention", "AMD navi21", 0.85),
    ("attention", "AMD gfx1100", 0.85),
    ("attention", "AMD vega10", 0.85),
    ("attention", "Intel dg2", 0.80),
    ("attention", "Intel bmg", 0.80),
    ("attention", "Adreno 740", 0.80),
    ("attention", "NVIDIA Ampere", 0.80),
    ("attention 128", "AMD navi21", 0.85),
    ("attention 128", "AMD gfx1100", 0.85),
    ("attention 128", "AMD vega10", 0.85),
    ("attention 128", "Intel dg2", 0.80),
    ("attention 128", "Intel bmg", 0.80),
    ("attention 128", "Adreno 740", 0.80),
    ("attention 128", "NVIDIA Ampere", 0.80),
    ("attention back", "AMD navi21", 0.84),
    ("attention back", "AMD gfx1100", 0.84),
    ("attention back", "AMD vega10", 0.84),
    ("attention back", "Intel dg2", 0.74),
    ("attention back", "Intel bmg", 0.74),
    ("attention back", "Adreno 740", 0.75),
    ("attention back", "NVIDIA Ampere", 0.75),
    ("attention back many", "AMD navi21", 0.84),
    ("attention back many", "AMD gfx1100", 0.84),
    ("attention back many", "AMD vega10", 0.84),
    ("attention back many", "Intel dg2", 0.74),
    ("attention back many", "Intel bmg", 0.74),
    ("attention back many", "Adreno 740", 0.75),
    ("attention back many", "NVIDIA Ampere", 0.75),
    ("attention back 128", "AMD navi21", 0.84),
    ("attention back 128", "AMD gfx1100", 0.84),
    ("attention back 128", "AMD vega10", 0.84),
    ("attention back 128", "Intel dg2", 0.74),
    ("attention back 128", "Intel bmg", 0.74),
    ("attention back 128", "Adreno 740", 0.75),
    ("attention back 128", "NVIDIA Ampere", 0.75),
];

/// First candidates that spill all the same: how the kernel's name begins, chip, the most spills. An entry that is no longer true
/// fails, too.
///
/// Mali has 64 registers in all. A scan keeps 12 or 16 candidates of every query, 24 or 32 registers beside a tile's sums; attention keeps 16
/// or 32 sums of the output and 8 of its softmax beside 16 scores and what is loaded for them, its gradient 16 more scores and sums.
const SPILLING: &[(&str, &str, u64)] = &[
    ("knn scan 4x4", "Mali G610", 47),
    ("knn many: knn_scan_gemm", "Mali G610", 73),
    ("attention 16x4", "Mali G610", 143),
    ("attention 16x8", "Mali G610", 191),
    ("attention dq 16x4", "Mali G610", 302),
    ("attention dq 16x8", "Mali G610", 387),
    ("attention dx 16x4", "Mali G610", 375),
    ("attention dx 32x4", "Mali G610", 375),
];

/// One chip's figures.
pub struct Report {
    pub rows: Vec<Row>,
    /// Lists and the kernels that are first in them.
    pub firsts: Vec<(String, String)>,
    /// Kernels whose figures are recorded.
    pub recorded: Vec<String>,
    /// Kernels that were not compiled.
    pub left_out: Vec<String>,
}

impl Report {
    fn row(&self, kernel: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.kernel == kernel)
    }

    /// Lists and the figures of what is first in them.
    fn firsts(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.firsts.iter().filter_map(|(list, kernel)| Some((list.as_str(), self.row(kernel)?)))
    }

    /// What is wrong with the candidates that are first.
    pub fn beneath_floors(&self) -> Vec<String> {
        let mut faults = vec![];
        for (list, row) in self.firsts() {
            let Row { chip, kernel, spills, .. } = row;
            let density = row.density.unwrap_or(0.0);
            let excused = SPILLING.iter().find(|s| kernel.starts_with(s.0) && s.1 == chip);
            let right = excused.map_or(0..=0, |s| 1..=s.2);
            if !right.contains(spills) {
                faults.push(format!("{kernel}, first of {list} on {chip}, spills {spills}, not {right:?}"));
            }
            if let Some(floor) = FLOORS.iter().find(|f| f.0 == list && f.1 == chip).filter(|f| density < f.2) {
                faults.push(format!("{kernel}, first of {list} on {chip}, has fma density {density}, not {}", floor.2));
            }
            if list == "matmul" && chip == "AMD navi21" && row.occupancy.is_none_or(|o| o < 8) {
                faults.push(format!(
                    "{kernel}, first of {list} on {chip}, has {:?} subgroups per SIMD, not 8",
                    row.occupancy
                ));
            }
        }
        faults
    }

    /// Candidates that fill a card better than the first of their op, where that one is meant to. A list's own names go on with a tile;
    /// of those only the ones count that load ahead if the first does: what that is worth, density does not see. Nor is a tile better of
    /// which less are there at a time.
    pub fn out_of_order(&self) -> Vec<String> {
        let mut faults = vec![];
        for (list, first) in self.firsts().filter(|f| ["matmul", "conv"].contains(&f.0)) {
            let own = |r: &&Row| {
                let rest = r.kernel.strip_prefix(list).and_then(|k| k.strip_prefix(' ')).unwrap_or_default();
                let ahead = r.kernel.ends_with(" ahead") == first.kernel.ends_with(" ahead");
                rest.starts_with(|c: char| c.is_ascii_digit()) && ahead
            };
            let tiles = self.rows.iter().filter(own).filter(|r| self.recorded.contains(&r.kernel) && r.spills == 0);
            let denser = tiles.filter(|r| r.density > first.density.map(|d| d + ROUNDING));
            let better = denser.filter(|r| r.occupancy >= first.occupancy);
            faults.extend(
                better.map(|r| format!("{} comes after {} on {}, and is denser", r.kernel, first.kernel, r.chip)),
            );
        }
        faults
    }

    /// What became worse than `known`.
    pub fn losses(&self, known: &[Row]) -> Vec<String> {
        let mut faults = vec![];
        for kernel in &self.recorded {
            let Some(row) = self.row(kernel) else { continue };
            let chip = &row.chip;
            let Some(known) = known.iter().find(|k| k.chip == *chip && k.kernel == *kernel) else {
                faults
                    .push(format!("{kernel} on {chip} is not in tests/fixtures/isa.csv; record it (make isa-record)"));
                continue;
            };
            if row.spills > known.spills {
                faults.push(format!("{kernel} on {chip} spills {}, {} before", row.spills, known.spills));
            }
            let (now, before) = (row.density.unwrap_or(0.0), known.density.unwrap_or(0.0));
            if now < before - ROUNDING {
                faults.push(format!("{kernel} on {chip} has fma density {now}, {before} before"));
            }
        }
        let gone = |k: &&Row| {
            let told = self.rows.iter().map(|r| &r.kernel).chain(&self.left_out).any(|kernel| *kernel == k.kernel);
            !told && self.rows.iter().any(|r| r.chip == k.chip)
        };
        let gone = known.iter().filter(gone);
        faults.extend(gone.map(|k| format!("{} on {} is recorded and no candidate", k.kernel, k.chip)));
        faults
    }
}

/// Every rule tells what breaks it.
pub fn rules_catch_what_they_forbid() {
    let row = |kernel: &str, density: f64, spills: u64, occupancy: u64| Row {
        chip: "AMD navi21".into(),
        driver: "1".into(),
        kernel: kernel.into(),
        lanes: 64,
        registers: Some(80),
        spills,
        occupancy: Some(occupancy),
        density: Some(density),
        shared: 0,
    };
    let report = |rows: Vec<Row>| Report {
        firsts: vec![("matmul".into(), "matmul a".into())],
        recorded: rows.iter().map(|r| r.kernel.clone()).collect(),
        left_out: vec!["matmul c".into()],
        rows,
    };
    let good = row("matmul a", 0.9, 0, 10);
    assert!(report(vec![good.clone()]).beneath_floors().is_empty());
    for bad in [row("matmul a", 0.84, 0, 10), row("matmul a", 0.9, 1, 10), row("matmul a", 0.9, 0, 7)] {
        assert_eq!(report(vec![bad]).beneath_floors().len(), 1);
    }
    assert_eq!(report(vec![good.clone(), row("matmul 2", 0.95, 0, 10)]).out_of_order().len(), 1);
    assert!(report(vec![good.clone(), row("matmul 2", 0.95, 3, 10)]).out_of_order().is_empty());
    assert!(report(vec![good.clone(), row("matmul 2 ahead", 0.95, 0, 10)]).out_of_order().is_empty());
    assert!(report(vec![good.clone(), row("matmul 2", 0.95, 0, 9)]).out_of_order().is_empty());
    assert!(report(vec![good.clone()]).losses(std::slice::from_ref(&good)).is_empty());
    assert!(report(vec![good.clone()]).losses(&[row("matmul a", 0.901, 0, 10)]).is_empty());
    assert!(report(vec![good.clone()]).losses(&[good.clone(), row("matmul c", 0.9, 0, 10)]).is_empty());
    for known in [row("matmul a", 0.95, 0, 10), row("matmul b", 0.9, 0, 10)] {
        assert!(!report(vec![good.clone()]).losses(&[known]).is_empty());
    }
    assert_eq!(report(vec![row("matmul a", 0.9, 2, 10)]).losses(&[good]).len(), 1);
}
