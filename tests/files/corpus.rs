//! The inputs that fuzzing found, through the same checks as there (`tests/fuzz`), without a fuzzer.

#[path = "../fuzz/checks.rs"]
mod checks;
use crate::common::torch;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn fuzz(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

/// A target's inputs: packed together, each behind its length in four bytes.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let file = fs::File::open(fuzz("corpus").join(target)).unwrap_or_else(|e| panic!("{target}: {e}"));
    let (mut all, mut inputs) = (vec![], vec![]);
    ZlibDecoder::new(file).read_to_end(&mut all).unwrap();
    let mut rest = &all[..];
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (input, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        inputs.push(input.to_vec());
        rest = behind;
    }
    inputs
}

#[test]
fn what_fuzzing_found_stays_harmless() {
    for (target, check) in checks::ALL {
        let inputs = corpus(target);
        assert!(inputs.len() >= 20, "{target}: {} inputs", inputs.len());
        for (i, input) in inputs.iter().enumerate() {
            let start = Instant::now();
            if std::panic::catch_unwind(|| check(input)).is_err() {
                panic!("{target}, input {i}: {}", input.escape_ascii());
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{target}, input {i} hangs");
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string();
    let mut targets: Vec<String> = fs::read_dir(fuzz("targets")).unwrap().map(name).collect();
    let mut checked: Vec<&str> = checks::ALL.iter().map(|(name, _)| *name).collect();
    targets.sort();
    checked.sort_unstable();
    assert_eq!(targets, checked);
}

/// The checks hold what they say they hold.
#[test]
fn checks_catch_what_they_forbid() {
    let pickle = torch::Pickle::new().op(b"}").text("w").tensor("0", 1, &[1], &[1]).op(b"s").done();
    checks::zip(&torch::archive(&pickle, &[0; 4]));
    let forbidden = lupe::Error::Input("file".into());
    assert!(std::panic::catch_unwind(|| checks::message(&forbidden)).is_err(), "another exit code");
    let nameless = lupe::Error::Weights(vec!["nothing".into()]);
    assert!(std::panic::catch_unwind(|| checks::message(&nameless)).is_err(), "no name");
}

#[test]
#[ignore = "make fuzz begins with it"]
fn unpack() {
    for (target, _) in checks::ALL {
        let folder = fuzz("work").join(target);
        fs::create_dir_all(&folder).unwrap();
        for (i, input) in corpus(target).iter().enumerate() {
            fs::write(folder.join(format!("{i:05}")), input).unwrap();
        }
    }
}

#[test]
#[ignore = "make fuzz ends with it"]
fn pack() {
    for (target, _) in checks::ALL {
        let inputs = fs::read_dir(fuzz("least").join(target)).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap());
        let mut inputs: Vec<Vec<u8>> = inputs.collect();
        inputs.sort();
        let mut packed = ZlibEncoder::new(vec![], Compression::best());
        for input in inputs {
            packed.write_all(&(input.len() as u32).to_le_bytes()).unwrap();
            packed.write_all(&input).unwrap();
        }
        fs::create_dir_all(fuzz("corpus")).unwrap();
        fs::write(fuzz("corpus").join(target), packed.finish().unwrap()).unwrap();
    }
}
