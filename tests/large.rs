//! Bags and pictures of the size that makes others run out of memory or seem stuck: 300,000 rows, 48 megapixels.

mod common;

use common::hash;
use common::parts::fit;
use common::program::{Bench, no_gpu, text};
use common::skip::{UNTOLD, skip, this_test};
use common::sweep::gpu;
use lupe::Error;
use lupe::engine::Options;
use lupe::methods::patchcore::select::Selector;
use lupe::methods::patchcore::{Config, Preset};
use lupe::tensor::Tensor;
use std::time::{Duration, Instant};

const ROWS: usize = 300_000;
const PICKS: usize = 1000;

/// Bytes of device memory that are enough: 154 MB of rows for each form that kernels read them in, and what goes with them.
const MEMORY: u64 = 512 << 20;

/// Largest memory of this process so far, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[test]
fn memory_is_kept_progress_is_told_and_a_stop_is_answered() {
    if no_gpu() {
        return;
    }
    let (name, gpu, config) = (hash::fnv1a64("large"), gpu(), Config::new(Preset::Official));
    let rows = Tensor::from_fn([ROWS, 128], |i| (hash::z(name, i as u64) >> 40) as f32);
    let mut tight =
        Selector::new(&gpu.caps, rows.clone(), PICKS, Options { limit_memory: Some(100 << 20), ..Options::default() });
    let refused = pollster::block_on(tight.run(gpu, &config, &mut |_| true));
    assert!(
        matches!(refused, Err(Error::Memory { need, have, .. }) if need > have && have == 100 << 20),
        "{refused:?}"
    );
    drop(tight);
    let before = peak();
    let mut selector =
        Selector::new(&gpu.caps, rows, PICKS, Options { limit_memory: Some(MEMORY), ..Options::default() });
    let (mut last, mut longest, mut told, start) = (Instant::now(), Duration::ZERO, vec![], Instant::now());
    let stopped = pollster::block_on(selector.run(gpu, &config, &mut |done| {
        told.push(done);
        done < 100
    }));
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    let kept = selector.picks.clone();
    assert!((100..PICKS).contains(&kept.len()), "stopped at once, with what it had: {}", kept.len());
    pollster::block_on(selector.run(gpu, &config, &mut |done| {
        longest = longest.max(last.elapsed());
        last = Instant::now();
        told.push(done);
        true
    }))
    .unwrap();
    println!("{PICKS} picks in {:.1} s; at most {longest:?} between two answers", start.elapsed().as_secs_f64());
    assert!(selector.picks.len() == PICKS && selector.picks[..kept.len()] == kept[..], "it goes on where it stopped");
    assert!(told.is_sorted() && told.len() > 5 && told.last() == Some(&PICKS), "progress: {told:?}");
    let mut unique = selector.picks.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), PICKS);
    if let Some((before, after)) = before.zip(peak()) {
        println!("peak memory {:.0} MB, of it {:.0} MB before the selection", after as f64 / 1e6, before as f64 / 1e6);
        // A driver on the processor takes its memory from ours: the device's part, and a second copy of the rows here.
        assert!(after < before + MEMORY + (4 * 128 * ROWS) as u64, "{after} bytes after {before}");
    }
}

/// Six pictures of 144 MB each: one is worked on, one is handed over, one is decoded.
#[test]
fn large_pictures_are_decoded_within_a_bound() {
    if common::program::no_gpu() {
        return;
    }
    let b = Bench::new();
    let data = b.path("data");
    std::fs::create_dir_all(&data).unwrap();
    for n in 0..6u8 {
        let picture = image::RgbImage::from_pixel(8000, 6000, image::Rgb([100 + n, 90, 80]));
        picture.save(data.join(format!("{n}.bmp"))).unwrap();
    }
    let run = fit(&data, &b.path("m.lupe")).args(["-v", "--batch", "8", "--test-split", "0"]).output().unwrap();
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    let (_, peak) = said.split_once("features took").expect("a line about the features");
    let peak = peak.split("so far ").nth(1).and_then(|p| p.split(' ').next()?.parse::<u64>().ok());
    let Some(peak) = peak else { return skip(&this_test(), UNTOLD) };
    println!("peak memory {peak} MB");
    assert!(peak < 4 * 144 + 250, "{peak} MB for pictures of 144 MB");
}
