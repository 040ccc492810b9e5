//! What a compiler says of a kernel, in the same words for every vendor, and the file of what it said before.

use crate::chips::{CHIPS, Vendor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a child process tells of one kernel.
#[derive(Serialize, Deserialize, Debug)]
pub struct Told {
    pub kernel: String,
    /// Lists that it is the first of.
    pub first_of: Vec<String>,
    /// Whether its figures are recorded.
    pub recorded: bool,
    /// Bytes of workgroup memory.
    pub shared: u32,
    /// Lanes of a subgroup.
    pub lanes: u32,
    /// The driver's figures by its names.
    pub statistics: BTreeMap<String, u64>,
    /// Share of multiply-adds in the hottest loop.
    pub density: Option<f64>,
}

/// One line of the table.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Row {
    pub chip: String,
    /// Version of the driver that compiled it.
    pub driver: String,
    pub kernel: String,
    /// Lanes of a subgroup.
    pub lanes: u32,
    /// Registers of a lane (Adreno: of four floats; Intel: of the eight or sixteen lanes of a thread, those in use; Mali: unknown).
    pub registers: Option<u64>,
    /// Stores to and loads from scratch memory, or its bytes: whichever the vendor tells. What matters is zero.
    pub spills: u64,
    /// Subgroups that a scheduler holds at a time, in the vendor's own unit; Intel's is fixed.
    pub occupancy: Option<u64>,
    /// Share of multiply-adds in the hottest loop.
    pub density: Option<f64>,
    /// Bytes of workgroup memory.
    pub shared: u32,
}

/// Spills, fills included, and threads in `…, 1 threads, 2 loops, 0:0 spills:fills`.
fn mali(line: &str) -> Option<(u64, u64)> {
    let before = |word: &str| line.split_once(word)?.0.rsplit(", ").next().map(str::trim);
    let (spills, fills) = before("spills:fills")?.split_once(':')?;
    Some((spills.parse::<u64>().ok()? + fills.parse::<u64>().ok()?, before("threads")?.parse().ok()?))
}

impl Row {
    /// The figures of `told`; `aside` is what the driver wrote to stderr meanwhile.
    ///
    /// # Errors
    /// A figure that the driver does not tell.
    pub fn new(chip: &str, vendor: Vendor, driver: &str, told: &Told, aside: &str) -> Result<Row, String> {
        let figure = |name: &str| {
            let known = told.statistics.get(name).copied();
            known.ok_or(format!("{}: the driver tells no {name:?}, only {:?}", told.kernel, told.statistics.keys()))
        };
        let sum = |names: &[&str]| names.iter().map(|name| figure(name)).sum::<Result<u64, String>>();
        let (registers, spills, occupancy) = match vendor {
            Vendor::Amd => {
                let spills = sum(&["Spilled SGPRs", "Spilled VGPRs", "Scratch size"])?;
                (Some(figure("VGPRs")?), spills, Some(figure("Subgroups per SIMD")?))
            }
            Vendor::Intel => (Some(figure("Max live registers")?), sum(&["Spill Count", "Fill Count"])?, None),
            Vendor::Qualcomm => {
                let spills = sum(&["STP Count", "LDP Count"])?;
                (Some(figure("Registers used")?), spills, Some(figure("Max Waves Per Core")?))
            }
            Vendor::Nvidia => {
                // A scheduler of Ampere holds 12 warps and has 512 registers for each of its lanes, given out in eights.
                let registers = figure("Number of GPRs")?;
                let warps = 512 / registers.max(1).next_multiple_of(8);
                (Some(registers), figure("SLM Size")?, Some(warps.min(12)))
            }
            Vendor::Arm => {
                let unknown = || format!("{}: no spills and threads in what the driver wrote: {aside}", told.kernel);
                let (spills, threads) = mali(aside).ok_or_else(unknown)?;
                (None, spills, Some(threads))
            }
        };
        let density = told.density.map(|d| (d * 1000.0).round() / 1000.0);
        let (kernel, lanes, shared) = (told.kernel.clone(), told.lanes, told.shared);
        Ok(Row {
            chip: chip.into(),
            driver: driver.into(),
            kernel,
            lanes,
            registers,
            spills,
            occupancy,
            density,
            shared,
        })
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/isa.csv")
}

/// The recorded figures.
pub fn recorded() -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path()).expect("tests/fixtures/isa.csv");
    reader.deserialize().map(|row| row.expect("a row of tests/fixtures/isa.csv")).collect()
}

/// Records `rows` in the place of all that is known of their chips.
pub fn record(rows: &[Row]) {
    let known = if path().exists() { recorded() } else { vec![] };
    let kept = known.into_iter().filter(|k| rows.iter().all(|r| r.chip != k.chip));
    let mut all: Vec<Row> = kept.chain(rows.iter().cloned()).collect();
    all.sort_by_key(|r| CHIPS.iter().position(|c| c.name == r.chip));
    let mut writer = csv::Writer::from_path(path()).expect("tests/fixtures/isa.csv can be written");
    all.iter().for_each(|row| writer.serialize(row).expect("a row is written"));
    writer.flush().expect("the file is written");
}

/// The table of `rows` in Markdown, kernel by kernel.
pub fn table(rows: &[Row]) -> String {
    let mut names: Vec<&str> = vec![];
    for row in rows {
        if !names.contains(&row.kernel.as_str()) {
            names.push(&row.kernel);
        }
    }
    let mut out = String::from(
        "| kernel | chip | lanes | registers | spills | occupancy | fma density | shared bytes |\n|---|---|---|---|---|---|---|---|\n",
    );
    let dash = |v: Option<u64>| v.map_or("–".to_string(), |v| v.to_string());
    for row in names.iter().flat_map(|n| rows.iter().filter(move |r| r.kernel == *n)) {
        let density = row.density.map_or("–".to_string(), |d| format!("{d:.2}"));
        let (registers, occupancy) = (dash(row.registers), dash(row.occupancy));
        let Row { kernel, chip, lanes, spills, shared, .. } = row;
        out +=
            &format!("| {kernel} | {chip} | {lanes} | {registers} | {spills} | {occupancy} | {density} | {shared} |\n");
    }
    out
}
