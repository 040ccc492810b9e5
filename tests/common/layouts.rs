//! Data sets as their publishers lay them out, in small: which files there are, and what is to be found in them.

use super::hash;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};

/// A set in some layout.
pub struct Set {
    pub name: &'static str,
    /// Names of pictures and masks, each with how many there are: `#` is the number, of three digits.
    pub files: &'static [(&'static str, usize)],
    /// A table: its name and its rows.
    pub table: Option<(&'static str, &'static str)>,
    /// Other files.
    pub others: &'static [&'static str],
    /// The folder or table to open.
    pub open: &'static str,
    pub found: Found,
}

/// What is found in it.
pub struct Found {
    pub layout: &'static str,
    pub train: usize,
    pub validation: usize,
    /// Labels of the pictures to test with, how many there are, and how many have a mask.
    pub test: &'static [(&'static str, usize, usize)],
    /// What is left out, by reason, where the validation split is read.
    pub left: &'static [(&'static str, usize)],
}

const VISA: &str = "object,split,label,image,mask
candle,train,normal,candle/Data/Images/Normal/000.JPG,
candle,train,normal,candle/Data/Images/Normal/001.JPG,
candle,test,normal,candle/Data/Images/Normal/002.JPG,
candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png
candle,test,anomaly,candle/Data/Images/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png
pcb1,train,normal,pcb1/Data/Images/Normal/000.JPG,
";

const TABLE: &str = "image_path;label;split;mask_path
a\\000.png;0;train;
a\\001.png;good;train;
a\\002.png;OK;test;
a\\003.png;good;val;
b\\002.png;dent;validation;
b\\000.png;dent;test;truth\\000.png
b\\001.png;scratch;test;truth\\001.png
";

/// Every layout that is read.
pub const ALL: &[Set] = &[
    Set {
        name: "MVTec AD",
        files: &[
            ("train/good/#.png", 4),
            ("test/good/#.png", 2),
            ("test/crack/#.png", 2),
            ("test/hole/#.png", 1),
            ("ground_truth/crack/#_mask.png", 2),
            ("ground_truth/hole/#_mask.png", 1),
        ],
        table: None,
        others: &["readme.txt", "license.txt"],
        open: "",
        found: Found {
            layout: "Mvtec",
            train: 4,
            validation: 0,
            test: &[("crack", 2, 2), ("good", 2, 0), ("hole", 1, 1)],
            left: &[("mask", 3), ("other files", 2)],
        },
    },
    Set {
        name: "VisA by its table",
        files: &[
            ("candle/Data/Images/Normal/#.JPG", 3),
            ("candle/Data/Images/Anomaly/#.JPG", 2),
            ("candle/Data/Masks/Anomaly/#.png", 2),
            ("pcb1/Data/Images/Normal/#.JPG", 1),
        ],
        table: Some(("split_csv/1cls.csv", VISA)),
        others: &["candle/image_anno.csv"],
        open: "candle",
        found: Found {
            layout: "Csv",
            train: 2,
            validation: 0,
            test: &[("anomaly", 2, 2), ("good", 1, 0)],
            left: &[("mask", 2), ("other files", 1)],
        },
    },
    Set {
        name: "VisA as its authors' script copies it",
        files: &[("train/good/#.JPG", 3), ("test/good/#.JPG", 1), ("test/bad/#.JPG", 2), ("ground_truth/bad/#.png", 2)],
        table: None,
        others: &[],
        open: "",
        found: Found {
            layout: "Mvtec",
            train: 3,
            validation: 0,
            test: &[("bad", 2, 2), ("good", 1, 0)],
            left: &[("mask", 2)],
        },
    },
    Set {
        name: "BTAD",
        files: &[("train/ok/#.bmp", 3), ("test/ok/#.bmp", 2), ("test/ko/#.bmp", 2), ("ground_truth/ko/#.bmp.png", 2)],
        table: None,
        others: &[],
        open: "",
        found: Found {
            layout: "Mvtec",
            train: 3,
            validation: 0,
            test: &[("good", 2, 0), ("ko", 2, 2)],
            left: &[("mask", 2)],
        },
    },
    Set {
        name: "MVTec LOCO",
        files: &[
            ("train/good/#.png", 3),
            ("validation/good/#.png", 2),
            ("test/good/#.png", 2),
            ("test/logical_anomalies/#.png", 2),
            ("test/structural_anomalies/#.png", 1),
            ("ground_truth/logical_anomalies/000/#.png", 2),
            ("ground_truth/logical_anomalies/001/#.png", 1),
            ("ground_truth/structural_anomalies/000/#.png", 1),
        ],
        table: None,
        others: &["defects_config.json"],
        open: "",
        found: Found {
            layout: "Mvtec",
            train: 3,
            validation: 2,
            test: &[("good", 2, 0), ("logical_anomalies", 2, 2), ("structural_anomalies", 1, 1)],
            left: &[("mask", 4), ("other files", 1)],
        },
    },
    Set {
        name: "MVTec AD 2",
        files: &[
            ("train/good/#_regular.png", 3),
            ("validation/good/#_regular.png", 1),
            ("test_public/good/#_regular.png", 2),
            ("test_public/bad/#_regular.png", 2),
            ("test_public/ground_truth/bad/#_regular_mask.png", 2),
            ("test_private/#_regular.png", 2),
            ("test_private_mixed/#_mixed.png", 1),
        ],
        table: None,
        others: &[],
        open: "",
        found: Found {
            layout: "Mvtec",
            train: 3,
            validation: 1,
            test: &[("bad", 2, 2), ("good", 2, 0)],
            left: &[("mask", 2), ("without a label", 3)],
        },
    },
    Set {
        name: "magnetic tiles",
        files: &[
            ("MT_Free/Imgs/exp1_num_#.jpg", 4),
            ("MT_Free/Imgs/exp1_num_#.png", 4),
            ("MT_Blowhole/Imgs/exp1_num_#.jpg", 2),
            ("MT_Blowhole/Imgs/exp1_num_#.png", 2),
            ("MT_Uneven/Imgs/exp2_num_#.jpg", 1),
            ("MT_Uneven/Imgs/exp2_num_#.png", 1),
        ],
        table: None,
        others: &["README.md"],
        open: "",
        found: Found {
            layout: "Plain",
            train: 4,
            validation: 0,
            test: &[("MT_Blowhole", 2, 2), ("MT_Uneven", 1, 1)],
            left: &[("mask", 7), ("other files", 1)],
        },
    },
    Set {
        name: "a folder for each label, as anomalib takes them",
        files: &[("normal/#.png", 3), ("abnormal/#.png", 2), ("mask/#.png", 2)],
        table: None,
        others: &[],
        open: "",
        found: Found { layout: "Plain", train: 3, validation: 0, test: &[("abnormal", 2, 2)], left: &[("mask", 2)] },
    },
    Set {
        name: "pictures alone",
        files: &[("#.tif", 3)],
        table: None,
        others: &["notes.txt"],
        open: "",
        found: Found { layout: "Flat", train: 3, validation: 0, test: &[], left: &[("other files", 1)] },
    },
    Set {
        name: "a table",
        files: &[("a/#.png", 4), ("b/#.png", 3), ("truth/#.png", 2)],
        table: Some(("set.csv", TABLE)),
        others: &[],
        open: "set.csv",
        found: Found {
            layout: "Csv",
            train: 2,
            validation: 1,
            test: &[("dent", 1, 1), ("good", 1, 0), ("scratch", 1, 1)],
            left: &[("mask", 2), ("table", 1), ("validation split", 1)],
        },
    },
    Set {
        name: "a folder of tests alone",
        files: &[("test/good/#.webp", 2), ("test/bent/#.webp", 2)],
        table: None,
        others: &[],
        open: "test",
        found: Found { layout: "Plain", train: 2, validation: 0, test: &[("bent", 2, 0)], left: &[] },
    },
];

/// A picture of noise that is the name's own.
pub fn noise(name: &str, w: u32, h: u32) -> RgbImage {
    let key = hash::fnv1a64(name);
    let value = |i: u32| (hash::z(key, u64::from(i)) >> 56) as u8;
    RgbImage::from_fn(w, h, |x, y| Rgb([0, 1, 2].map(|c| value((y * w + x) * 3 + c))))
}

/// White 4x4 on black.
pub fn mask(w: u32, h: u32) -> GrayImage {
    GrayImage::from_fn(w, h, |x, y| Luma([if (3..7).contains(&x) && (2..6).contains(&y) { 255 } else { 0 }]))
}

/// Whether a file of a set is a mask, and whether it is one of a good picture, by its name.
fn is_mask(name: &str) -> (bool, bool) {
    let lower = name.to_lowercase();
    let beside = name.contains("Imgs/") && name.ends_with(".png");
    (beside || ["truth", "mask"].iter().any(|word| lower.contains(word)), name.starts_with("MT_Free"))
}

/// Writes a picture or a mask, which its name says.
pub fn put(root: &Path, name: &str) -> PathBuf {
    let path = root.join(name.replace(".bmp.png", ".png"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture: DynamicImage = match is_mask(name) {
        (false, _) => noise(name, 24, 20).into(),
        (true, false) => mask(24, 20).into(),
        (true, true) => GrayImage::new(24, 20).into(),
    };
    match name {
        // Some of BTAD's masks are BMPs that are called .png.
        _ if name.ends_with(".bmp.png") => picture.save_with_format(&path, ImageFormat::Bmp).unwrap(),
        _ => picture.save(&path).unwrap(),
    }
    path
}

impl Set {
    /// Writes it below a folder, and says what to open.
    pub fn write(&self, root: &Path) -> PathBuf {
        for (name, n) in self.files {
            for i in 0..*n {
                put(root, &name.replace('#', &format!("{i:03}")));
            }
        }
        if let Some((name, rows)) = self.table {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), rows).unwrap();
        }
        for name in self.others {
            fs::write(root.join(name), "x\n").unwrap();
        }
        if self.open.is_empty() { root.into() } else { root.join(self.open) }
    }
}
