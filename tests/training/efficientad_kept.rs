//! What a teacher says of good pictures, kept between runs: a model's bytes tell nothing of whether it was, and damage is found.

use crate::common::parts::{part, verb};
use crate::common::pdn::{pth, teacher};
use crate::common::program::{Bench, no_gpu, text};
use lupe::models::pdn::Size;
use std::fs;
use std::path::{Path, PathBuf};

/// Fits on what lies in `good`, with caches in `cache`: the model, and what was said.
fn fitted(b: &Bench, cache: &str, more: &[&str]) -> (Vec<u8>, String) {
    let model = b.path("m.lupe");
    let mut command = verb(&["fit", "efficientad"]);
    command.arg(b.path("good")).arg("--teacher").arg(b.path("teacher.pth")).arg("-o").arg(&model);
    command.args(["--penalty", "none", "--steps", "3"]).args(more).env("XDG_CACHE_HOME", b.path(cache));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    (fs::read(&model).unwrap(), text(&out.stderr))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let inner = fs::read_dir(folder).unwrap().flat_map(|e| fs::read_dir(e.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = inner.map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_model_is_the_same_whether_or_not_the_teachers_maps_are_kept() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    b.write("teacher.pth", &pth(&teacher(Size::Small, 16)));
    fs::create_dir(b.path("good")).unwrap();
    for n in 0..4 {
        part(n, 96, 96).save(b.path("good").join(format!("{n}.png"))).unwrap();
    }
    let (cold, said) = fitted(&b, "cache", &[]);
    assert!(said.contains("0 of 3 are kept from earlier runs"), "{said}");
    let kept = files(&b.path("cache/lupe/teacher"));
    assert_eq!(kept.len(), 3);
    assert_eq!(fs::metadata(&kept[0]).unwrap().len(), 14 + 4 * 56 * 56 * 24 + 64);
    let (warm, said) = fitted(&b, "cache", &[]);
    assert!(warm == cold && said.contains("3 of 3 are kept from earlier runs"), "{said}");
    // A changed byte, a file that is cut, and one that is gone.
    let mut bytes = fs::read(&kept[0]).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&kept[0], &bytes).unwrap();
    fs::write(&kept[1], &bytes[..1000]).unwrap();
    fs::remove_file(&kept[2]).unwrap();
    let (damaged, said) = fitted(&b, "cache", &[]);
    let told = "2 of the maps of the teacher that were kept are damaged; they are computed again";
    assert!(damaged == cold && said.contains(told) && said.contains("0 of 3 are kept"), "{said}");
    assert_eq!(fs::read(&kept[0]).unwrap()[20_000], bytes[20_000] ^ 1, "it was made anew");
    let (none, said) = fitted(&b, "none", &["--keep", "0"]);
    assert!(
        none == cold && !said.contains("kept from earlier runs") && !b.path("none/lupe/teacher").exists(),
        "{said}"
    );
    let (less, said) = fitted(&b, "less", &["--keep", "500K"]);
    let told =
        "the maps of the teacher take 0.9 MB, more than the 0.5 MB that may be kept (--keep), so the teacher is asked";
    assert!(less == cold && said.contains(told) && !b.path("less/lupe/teacher").exists(), "{said}");
    // A place where nothing can be kept is told, and does without.
    fs::create_dir_all(b.path("closed/lupe")).unwrap();
    fs::write(b.path("closed/lupe/teacher"), b"a file").unwrap();
    let (closed, said) = fitted(&b, "closed", &[]);
    assert!(closed == cold && said.contains("note: maps of the teacher cannot be kept in"), "{said}");
    // A batch of several is another training, and as indifferent to what is kept.
    let several = ["--batch", "2"];
    let [(kept, _), (asked, _)] = [fitted(&b, "cache", &several), fitted(&b, "none", &["--batch", "2", "--keep", "0"])];
    assert!(kept == asked && kept != cold);
}
