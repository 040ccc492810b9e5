//! What real GPUs' compilers make of the kernels, without the GPUs: registers, spills, occupancy and the share of multiply-adds in
//! the hottest loop, held to floors and to what is recorded in tests/fixtures/isa.csv.
//!
//! Mesa compiles for chips that are not there, one process a chip. AMD's driver is the distribution's and must be there where `CI`
//! is set; the others' are looked for beside the repository (chips.rs) and skipped visibly where they are not. `LUPE_FULL=1`
//! compiles every epilogue, too, and what takes long. `-- --write` puts the table into benches/RESULTS.md, `-- --record` the figures
//! into the fixture.

mod asm;
mod chips;
mod figures;
mod floors;
mod kernels;
mod loops;
#[path = "../common/skip.rs"]
mod skip;
mod vulkan;

use chips::{CHIPS, Chip, Vendor};
use figures::{Row, Told};
use floors::Report;
use libtest_mimic::{Arguments, Failed, Trial};
use skip::skip;
use std::process::Command;

/// Tells a child process which chip its environment chooses.
const CHILD: &str = "LUPE_ISA_CHIP";

/// Tells it to compile what takes long, too: spilling sixty-four sums takes Mali's compiler ten times as long as all the rest.
const SLOW: &str = "LUPE_ISA_SLOW";

/// What a child ends with where there is no device to compile for.
const NO_DEVICE: i32 = 5;

fn full() -> bool {
    std::env::var_os("LUPE_FULL").is_some()
}

/// A test that panics where it fails.
fn rule(name: &str, holds: fn()) -> Trial {
    Trial::test(name, move || {
        holds();
        Ok(())
    })
}

fn main() {
    if let Ok(name) = std::env::var(CHILD) {
        return child(Chip::named(&name).expect("a chip of the list"));
    }
    let asked = |flag: &str| std::env::args().any(|a| a == flag);
    if asked("--write") || asked("--record") {
        let rows = every_chip();
        if asked("--record") {
            figures::record(&rows);
        }
        if asked("--write") {
            print!("{}", figures::table(&rows));
            write(&rows);
        }
        return;
    }
    let mut trials = vec![
        rule("listings_are_read", loops::listings_are_read),
        rule("rules_catch_what_they_forbid", floors::rules_catch_what_they_forbid),
    ];
    trials.extend(CHIPS.iter().map(|chip| Trial::test(chip.name, || hold(chip).map_err(Failed::from))));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Compiles every kernel for the chip that the environment chooses, one line of JSON each.
fn child(chip: &Chip) {
    let device = vulkan::Device::open().unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(NO_DEVICE);
    });
    println!("driver {}", device.driver);
    let slow = std::env::var_os(SLOW).is_some();
    for (number, unit) in kernels::units(&device.caps, full()).iter().enumerate() {
        if !slow && chip.vendor == Vendor::Arm && unit.sums() > 32 {
            println!("left out {}", unit.name);
            continue;
        }
        eprintln!("kernel {number}");
        let compiled = device.compile(unit).unwrap_or_else(|e| panic!("{} on {}: {e}", unit.name, chip.name));
        let told = Told {
            kernel: unit.name.clone(),
            first_of: unit.first_of.iter().map(|l| l.to_string()).collect(),
            recorded: unit.recorded,
            shared: unit.kernel.needs.shared_bytes,
            lanes: compiled.lanes,
            statistics: compiled.statistics.into_iter().collect(),
            density: loops::hottest(chip.vendor, &compiled.assembly).map(|m| m.density()),
        };
        println!("{}", serde_json::to_string(&told).expect("figures are JSON"));
    }
}

/// The figures of a chip; `Ok(None)` and it is skipped where its driver is missing and may be.
fn measure(chip: &Chip, slow: bool) -> Result<Option<Report>, String> {
    let must = chip.vendor == Vendor::Amd && std::env::var_os("CI").is_some();
    let missing = |why: &str| {
        if must {
            return Err(format!("{}: {why}", chip.name));
        }
        skip(chip.name, why);
        Ok(None)
    };
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.env(CHILD, chip.name);
    if slow {
        command.env(SLOW, "1");
    }
    if let Err(why) = chip.choose(&mut command) {
        return missing(&why);
    }
    let output = command.output().map_err(|e| format!("{}: {e}", chip.name))?;
    let (said, aside) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => report(chip, &said, &aside).map(Some),
        Some(NO_DEVICE) => missing(aside.trim()),
        _ => Err(format!("{}: the compiler's process ended with {}:\n{aside}", chip.name, output.status)),
    }
}

fn report(chip: &Chip, said: &str, aside: &str) -> Result<Report, String> {
    let driver = said.lines().find_map(|l| l.strip_prefix("driver ")).ok_or("no driver is told")?;
    let told = said.lines().filter(|l| l.starts_with('{'));
    let told: Vec<Told> = told.map(|l| serde_json::from_str(l).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
    let asides: Vec<&str> = aside.split("kernel ").skip(1).collect();
    let rows = told.iter().zip(asides).map(|(t, aside)| Row::new(chip.name, chip.vendor, driver, t, aside));
    let rows = rows.collect::<Result<Vec<Row>, String>>()?;
    if rows.len() != told.len() || rows.len() < 10 {
        return Err(format!("{}: figures of {} kernels, {} were compiled", chip.name, rows.len(), told.len()));
    }
    let firsts = told.iter().flat_map(|t| t.first_of.iter().map(|list| (list.clone(), t.kernel.clone()))).collect();
    let recorded = told.iter().filter(|t| t.recorded).map(|t| t.kernel.clone()).collect();
    let left_out = said.lines().filter_map(|l| l.strip_prefix("left out ")).map(str::to_string).collect();
    Ok(Report { rows, firsts, recorded, left_out })
}

/// Holds a chip's figures to everything. Records are of one driver: another one is held to them where `CI` is set.
fn hold(chip: &Chip) -> Result<(), String> {
    let Some(report) = measure(chip, full())? else { return Ok(()) };
    let mut known = figures::recorded();
    known.retain(|k| k.chip == chip.name);
    let mut faults = [report.beneath_floors(), report.out_of_order()].concat();
    let driver = report.rows.first().map_or("", |r| &r.driver);
    match known.iter().find(|k| k.driver != driver) {
        Some(other) if std::env::var_os("CI").is_none() => {
            let what = format!("{}, recorded figures", chip.name);
            skip(&what, &format!("they are of {}, not of {driver}", other.driver));
        }
        _ => faults.extend(report.losses(&known)),
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Rows of the kernels that are recorded, on every chip whose driver is here.
fn every_chip() -> Vec<Row> {
    let mut all = vec![];
    for chip in CHIPS {
        if let Some(report) = measure(chip, true).unwrap_or_else(|e| panic!("{e}")) {
            all.extend(report.rows.into_iter().filter(|r| report.recorded.contains(&r.kernel)));
        }
    }
    all
}

/// Puts the table between its marks in benches/RESULTS.md.
fn write(rows: &[Row]) {
    const MARKS: [&str; 2] = ["<!-- isa: make isa writes what follows -->\n", "<!-- end of isa -->"];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
    let text = std::fs::read_to_string(path).expect("benches/RESULTS.md");
    let (before, rest) = text.split_once(MARKS[0]).expect("the mark before the table");
    let (_, after) = rest.split_once(MARKS[1]).expect("the mark after the table");
    let mut drivers: Vec<String> = rows.iter().map(|r| format!("{}: {}", r.chip, r.driver)).collect();
    drivers.dedup();
    let table = format!("Drivers: {}.\n\n{}", drivers.join(", "), figures::table(rows));
    std::fs::write(path, format!("{before}{}\n{table}\n{}{after}", MARKS[0], MARKS[1])).expect("the file is written");
}
