//! A small data set of made-up parts, in MVTec AD's layout: textured pictures, some with a dark spot and its mask.

use super::hash;
use super::program::{Bench, done, lupe};
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Picture number `n`, `w` x `h`: a gradient, waves and noise; the same every time.
pub fn part(n: u64, w: u32, h: u32) -> RgbImage {
    let name = hash::fnv1a64("part");
    RgbImage::from_fn(w, h, |x, y| {
        let noise = (hash::z(name, n * 1_000_000 + u64::from(y * w + x)) >> 59) as f32;
        let wave = ((x as f32 + n as f32) / 5.0).sin() * 30.0 + (y as f32 / 7.0).cos() * 30.0;
        let v = 110.0 + wave + noise + x as f32 / w as f32 * 30.0;
        Rgb([v as u8, (v * 0.9) as u8, (v * 0.8) as u8])
    })
}

/// A part with a dark spot, and where that is.
pub fn spoiled(n: u64, w: u32, h: u32) -> (RgbImage, GrayImage) {
    let (left, top) = (w / 2 - 6 + (n % 5) as u32, h / 2 - 8 + (n % 3) as u32);
    let inside = |x: u32, y: u32| (left..left + 12).contains(&x) && (top..top + 12).contains(&y);
    let mut picture = part(n, w, h);
    for (x, y, pixel) in picture.enumerate_pixels_mut().filter(|(x, y, _)| inside(*x, *y)) {
        *pixel = Rgb([(x * 20 % 60) as u8, (y * 30 % 50) as u8, 90]);
    }
    (picture, GrayImage::from_fn(w, h, |x, y| Luma([if inside(x, y) { 255 } else { 0 }])))
}

/// Writes a data set: `train` good pictures to fit on, two good ones and three spoiled ones to test with.
pub fn data_set(root: &Path, train: u64, w: u32, h: u32) {
    let file = |name: String| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for n in 0..train {
        part(n, w, h).save(file(format!("train/good/{n:03}.png"))).unwrap();
    }
    for n in 0..2 {
        part(100 + n, w, h).save(file(format!("test/good/{n:03}.png"))).unwrap();
    }
    for n in 0..3 {
        let (picture, mask) = spoiled(200 + n, w, h);
        picture.save(file(format!("test/spot/{n:03}.png"))).unwrap();
        mask.save(file(format!("ground_truth/spot/{n:03}_mask.png"))).unwrap();
    }
}

/// Flags of a fit that is over in a second: a small input.
pub const SMALL: [&str; 6] = ["--preset", "official", "--size", "64", "--resize", "72"];

/// `lupe` with these words: a verb, and what it is told.
pub fn verb(words: &[&str]) -> Command {
    let mut command = lupe();
    command.args(words);
    command
}

/// `lupe fit patchcore` of a small input.
pub fn fit(data: &Path, model: &Path) -> Command {
    let mut command = verb(&["fit", "patchcore"]);
    command.arg(data).arg("-o").arg(model).args(SMALL);
    command
}

/// A data set of six pictures of 72 x 72 and a model fitted on it.
pub fn fitted(b: &Bench) -> (PathBuf, PathBuf) {
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 6, 72, 72);
    done(&mut fit(&data, &model));
    (data, model)
}

/// A PNG header that claims 60000x60000, with the right checksum.
pub fn huge_png() -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0".to_vec();
    let crc = out[12..].iter().fold(u32::MAX, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    });
    out.extend((!crc).to_be_bytes());
    out.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    out
}

/// A folder of classes, each with so many pictures of 64 x 64: parts as they are, with a dark spot (`spot`), or turned `red`.
pub fn classes(root: PathBuf, classes: &[(&str, u64)]) -> PathBuf {
    for (class, n) in classes.iter().flat_map(|(class, n)| (0..*n).map(move |i| (class, i + 100 * class.len() as u64)))
    {
        let path = root.join(class).join(format!("{n:03}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut made = if *class == "spot" { spoiled(n, 64, 64).0 } else { part(n, 64, 64) };
        if *class == "red" {
            made.pixels_mut().for_each(|p| p.0[0] = 255);
        }
        made.save(path).unwrap();
    }
    root
}
