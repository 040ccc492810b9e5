//! Ways to spoil a data set, one for every finding of `lupe data check`.

use super::layouts::{mask, noise, put};
use super::parts::huge_png;
use image::{DynamicImage, GrayImage, Luma};
use lupe::data::check::Severity;
use std::fs;
use std::path::Path;

fn save(root: &Path, name: &str, picture: impl Into<DynamicImage>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.into().save(path).unwrap();
}

pub fn copy(root: &Path, from: &str, to: &str) {
    fs::copy(root.join(from), root.join(to)).unwrap();
}

/// A way to spoil a set, and what is found then: kind, severity, a part of its places as text, how many there are.
pub type Spoiled = (fn(&Path), &'static str, Severity, &'static str, usize);

pub const SPOILED: &[Spoiled] = &[
    (
        |root| {
            let path = root.join("train/good/000.png");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            fs::write(root.join("test/hole/000.png"), huge_png()).unwrap();
        },
        "unreadable",
        Severity::Error,
        "train/good/000.png: is truncated",
        2,
    ),
    (
        |root| fs::write(root.join("test/hole/000.png"), huge_png()).unwrap(),
        "unreadable",
        Severity::Error,
        "test/hole/000.png: is 60000x60000",
        1,
    ),
    (
        |root| {
            put(root, "elsewhere/0.png");
            fs::write(root.join("elsewhere/1.png"), "no picture").unwrap();
        },
        "unreadable",
        Severity::Warning,
        "elsewhere/1.png: not a PNG",
        1,
    ),
    (
        |root| copy(root, "test/good/000.png", "test/crack/001.png"),
        "label-conflict",
        Severity::Error,
        "test/crack/001.png = test/good/000.png: the same file, in test/crack, test/good",
        1,
    ),
    (
        |root| copy(root, "train/good/000.png", "test/hole/000.png"),
        "label-conflict",
        Severity::Error,
        "train/good/000.png",
        1,
    ),
    (
        |root| copy(root, "train/good/003.png", "test/good/001.png"),
        "in-several-splits",
        Severity::Error,
        "in test/good, train/good",
        1,
    ),
    (
        |root| save(root, "test/good/007.bmp", image::open(root.join("train/good/003.png")).unwrap()),
        "in-several-splits",
        Severity::Error,
        "train/good/003.png = test/good/007.bmp: the same pixels in other files",
        1,
    ),
    (
        |root| copy(root, "train/good/003.png", "train/good/004.png"),
        "twice",
        Severity::Warning,
        "train/good/003.png = train/good/004.png: the same file, in train/good",
        1,
    ),
    (
        |root| save(root, "train/good/009.png", noise("wide", 30, 20)),
        "mixed-sizes",
        Severity::Warning,
        "train/good/009.png: 30x20, as 1 of 10 pictures",
        2,
    ),
    (
        |root| save(root, "train/good/009.png", DynamicImage::from(noise("deep", 24, 20)).into_rgb16()),
        "mixed-depths",
        Severity::Warning,
        "train/good/009.png: 16 bits, as 1 of 10 pictures",
        2,
    ),
    (
        |root| save(root, "train/good/009.png", DynamicImage::from(noise("gray", 24, 20)).into_luma8()),
        "mixed-channels",
        Severity::Warning,
        "train/good/009.png: gray, as 1 of 10 pictures",
        2,
    ),
    (
        |root| {
            for name in ["test/crack/000", "test/crack/001", "test/hole/000"] {
                let picture = image::open(root.join(format!("{name}.png"))).unwrap();
                fs::remove_file(root.join(format!("{name}.png"))).unwrap();
                save(root, &format!("{name}.bmp"), picture);
            }
        },
        "told-apart",
        Severity::Warning,
        "containers: good PNG, defective BMP",
        1,
    ),
    (
        |root| {
            put(root, "ground_truth/crack/077_mask.png");
            put(root, "ground_truth/hole/078.png");
        },
        "mask-stray",
        Severity::Error,
        "ground_truth/crack/077_mask.png",
        2,
    ),
    (
        |root| fs::remove_file(root.join("ground_truth/hole/000_mask.png")).unwrap(),
        "mask-missing",
        Severity::Error,
        "test/hole/000.png",
        1,
    ),
    (|root| fs::remove_dir_all(root.join("ground_truth")).unwrap(), "mask-missing", Severity::Note, "", 0),
    (
        |root| drop(put(root, "ground_truth/crack/001.png")),
        "mask-twice",
        Severity::Error,
        "test/crack/001.png has two masks",
        1,
    ),
    (
        |root| save(root, "ground_truth/crack/001_mask.png", mask(20, 20)),
        "mask-size",
        Severity::Error,
        "test/crack/001.png: is 24x20, its mask 20x20",
        1,
    ),
    (
        |root| save(root, "ground_truth/crack/001_mask.png", GrayImage::new(24, 20)),
        "mask-empty",
        Severity::Warning,
        "test/crack/001.png",
        1,
    ),
    (
        |root| save(root, "ground_truth/crack/001_mask.png", GrayImage::from_pixel(24, 20, Luma([255]))),
        "mask-full",
        Severity::Warning,
        "test/crack/001.png",
        1,
    ),
    (
        |root| {
            let classes = GrayImage::from_fn(24, 20, |x, _| Luma([[0, 1, 3][x as usize % 3]]));
            save(root, "ground_truth/crack/001_mask.png", classes);
        },
        "mask-values",
        Severity::Note,
        "test/crack/001.png: 1, 3",
        1,
    ),
    (
        |root| fs::write(root.join("ground_truth/crack/001_mask.png"), huge_png()).unwrap(),
        "mask-unreadable",
        Severity::Error,
        "test/crack/001.png: its mask is 60000x60000",
        1,
    ),
    (
        |root| drop(put(root, "ground_truth/good/001_mask.png")),
        "mask-of-good",
        Severity::Error,
        "test/good/001.png: 16 pixels are marked",
        1,
    ),
    (|root| fs::create_dir(root.join("test/dent")).unwrap(), "class-empty", Severity::Warning, "test/dent", 1),
    (|_| {}, "class-small", Severity::Note, "test/crack: 2, each of which is 50 % of them", 4),
    (
        |root| drop(put(root, "test/Crack/5.png")),
        "labels-case",
        Severity::Error,
        "test: has the folders Crack and crack",
        2,
    ),
    (
        |root| save(root, "train/good/000.PNG", noise("capital", 24, 20)),
        "names-case",
        Severity::Warning,
        "train/good/000.PNG = train/good/000.png",
        1,
    ),
    (|root| fs::write(root.join("test/good/x.gif"), "x").unwrap(), "left-out", Severity::Warning, "test/good/x.gif", 1),
    (|root| drop(put(root, "train/bad/0.png")), "left-out", Severity::Warning, "train/bad/0.png", 1),
    (
        |root| save(root, "train/good/009.png", DynamicImage::from(mask(24, 20)).into_rgb8()),
        "like-masks",
        Severity::Warning,
        "train/good/009.png",
        1,
    ),
    (
        |root| save(root, "train/good/001_gt.png", noise("gt", 24, 20)),
        "named-like-masks",
        Severity::Warning,
        "train/good/001_gt.png: is called as masks are",
        1,
    ),
    (
        |root| fs::rename(root.join("train/good"), root.join("train/gut")).unwrap(),
        "layout",
        Severity::Error,
        "train: has no folder that means good, but gut",
        1,
    ),
    (|root| fs::remove_dir_all(root.join("train")).unwrap(), "layout-note", Severity::Note, "", 0),
];
