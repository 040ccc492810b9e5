//! Damaged pictures: what is cut off, flipped or zeroed is refused, or changes nothing, or is counted where a format cannot know.
//! The counts stand in docs/formats.md.

use crate::common::parts::{fitted, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use lupe::data::{Limits, Picture};
use lupe::random;
use std::fs;
use std::path::Path;

/// Rows of the table, and the files of each.
const KINDS: &[(&str, &str)] = &[
    ("JPEG, baseline", "444 422 420 gray odd optimized scans"),
    ("JPEG, restart markers", "restart restart_444 progressive_restart"),
    ("JPEG, progressive", "progressive progressive_444"),
    ("JPEG, CMYK", "cmyk.jpg ycck.jpg"),
    (
        "PNG",
        "palette.png palette_2bit.png one_bit.png la.png rgba.png gray_key.png deep_gray.png deep_rgb.png orientation_6.png",
    ),
    ("BMP", "rgb.bmp rgba.bmp gray.bmp one_bit.bmp palette.bmp"),
    ("BMP, run lengths", "runs.bmp"),
    ("TIFF, uncompressed", "rgb.tif gray.tif deep_rgb_mm.tif"),
    ("TIFF, LZW", "lzw.tif rgba.tif"),
    ("TIFF, Deflate", "deflate.tif"),
    ("TIFF, PackBits", "packbits.tif one_bit.tif"),
    ("TIFF, fax", "fax.tif"),
    ("TIFF, JPEG", "jpeg.tif"),
    ("WebP, lossless", "lossless.webp lossless_rgba.webp"),
    ("WebP, lossy", "lossy.webp"),
];

/// What became of the damaged files.
#[derive(Default, Debug, PartialEq)]
struct Counts {
    tried: usize,
    refused: usize,
    equal: usize,
    different: usize,
}

impl Counts {
    fn add(&mut self, name: &str, bytes: &[u8], whole: Option<&Picture>) {
        self.tried += 1;
        match Picture::decode(bytes, name, Limits { pixels: 1_000_000 }) {
            Err(e) => {
                assert!(e.exit_code() == 3 && e.to_string().starts_with(name), "{e}");
                self.refused += 1;
            }
            Ok(picture) if Some(&picture) == whole => self.equal += 1,
            Ok(_) => self.different += 1,
        }
    }

    fn row(&self, kind: &str, how: &str) -> String {
        format!("| {kind} | {how} | {} | {} | {} | {} |", self.tried, self.refused, self.equal, self.different)
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The file cut short; of a JPEG, every other one has its end marker again.
fn cut(whole: &[u8], name: &str, i: u64) -> Vec<u8> {
    let mut bytes = whole[..random::draw(&format!("cut {name}"), i) as usize % whole.len()].to_vec();
    if name.ends_with(".jpg") && i % 2 == 1 {
        bytes.extend([0xff, 0xd9]);
    }
    bytes
}

/// The file with a bit flipped, up to 16 bytes inverted, or up to 64 bytes zeroed.
fn spoil(whole: &[u8], name: &str, i: u64) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for again in 0.. {
        let draw = |what: &str| random::draw(&format!("{what} {name}"), 1000 * i + again) as usize;
        let at = draw("place") % whole.len();
        match i % 3 {
            0 => bytes[at] ^= 1 << (draw("bit") % 8),
            1 => bytes.iter_mut().skip(at).take(1 + draw("length") % 16).for_each(|b| *b = !*b),
            _ => bytes.iter_mut().skip(at).take(1 + draw("length") % 64).for_each(|b| *b = 0),
        }
        if bytes != whole {
            break;
        }
    }
    bytes
}

/// Cut and spoiled files of a kind.
fn sweep(files: &str, places: u64) -> [Counts; 2] {
    let mut counts = [Counts::default(), Counts::default()];
    for name in files.split(' ') {
        let name = if name.contains('.') { name.to_string() } else { format!("jpeg_{name}.jpg") };
        let bytes = fixture(&name);
        let whole = Picture::decode(&bytes, &name, Limits::default()).ok();
        assert!(whole.is_some() || name.contains("ck.jpg") || name.contains("cmyk"), "{name}");
        for i in 0..places {
            counts[0].add(&name, &cut(&bytes, &name, i), whole.as_ref());
            counts[1].add(&name, &spoil(&bytes, &name, i), whole.as_ref());
        }
    }
    counts
}

#[test]
fn fault_03_damaged_pictures_get_no_verdict() {
    let full = std::env::var_os("LUPE_FULL").is_some();
    let places = if full { 4000 } else { 200 };
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md")).unwrap();
    let (mut files, mut missing) = (0, vec![]);
    for (kind, names) in KINDS {
        files += names.split(' ').count();
        let [cut, spoiled] = sweep(names, places);
        assert_eq!(cut.different, 0, "{kind}: a cut file is filled up");
        for row in [cut.row(kind, "cut"), spoiled.row(kind, "damaged")] {
            println!("{row}");
            missing.extend((!full && !text.contains(&row)).then_some(row));
        }
        let checked = ["PNG", "TIFF, Deflate", "JPEG, CMYK"].contains(kind);
        assert!(!checked || spoiled.different * 100 <= spoiled.tried, "{kind}: {spoiled:?}");
    }
    assert!(files >= 40, "{files} files");
    assert!(missing.is_empty(), "docs/formats.md lacks\n{}", missing.join("\n"));
}

fn wrong(bytes: &[u8], want: &str) {
    let error = Picture::decode(bytes, "part.jpg", Limits::default()).expect_err(want);
    assert!(error.to_string().starts_with("part.jpg: is a ") && error.to_string().contains(want), "{error}");
    assert!(error.to_string().contains("copy it again"), "{error}");
    assert_eq!(error.exit_code(), 3);
}

/// Where a scan's data begins.
fn data(jpeg: &[u8]) -> usize {
    let scan = jpeg.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    scan + 2 + usize::from(u16::from_be_bytes([jpeg[scan + 2], jpeg[scan + 3]]))
}

/// A scan cut at a fifth, with the end marker behind it.
fn fifth(jpeg: &[u8]) -> Vec<u8> {
    let from = data(jpeg);
    [&jpeg[..from + (jpeg.len() - from) / 5], &[0xff, 0xd9]].concat()
}

#[test]
fn fault_03_broken_jpeg_data_is_refused() {
    for name in
        ["jpeg_420.jpg", "jpeg_444.jpg", "jpeg_gray.jpg", "jpeg_progressive.jpg", "jpeg_restart.jpg", "jpeg_scans.jpg"]
    {
        let whole = fixture(name);
        let scans = whole.windows(2).filter(|w| **w == [0xff, 0xda]).count();
        wrong(&fifth(&whole), if scans == 1 { "ends before its last block" } else { "damaged JPEG file" });
        let mut zeroed = whole.clone();
        let (from, to) = (data(&whole), whole.len() - 2);
        zeroed[from + (to - from) / 3..from + (to - from) * 2 / 3].fill(0);
        wrong(&zeroed, "damaged JPEG file");
    }
    let whole = fixture("jpeg_restart.jpg");
    let marker = whole.windows(2).position(|w| w == [0xff, 0xd1]).unwrap();
    let mut other = whole.clone();
    other[marker + 1] = 0xd3;
    wrong(&other, "a restart marker is missing or out of order");
    wrong(&[&whole[..marker], &whole[marker + 2..]].concat(), "data is left after the last block");
}

#[test]
fn fault_03_a_jpeg_with_bytes_left_over_is_whole_once_it_is_saved_anew() {
    let whole = fixture("jpeg_420.jpg");
    let end = whole.len() - 2;
    let camera = [&whole[..end], &[0x7f], &whole[end..]].concat();
    wrong(&camera, "if the original looks right, save it anew in another program");
    let mut anew = std::io::Cursor::new(vec![]);
    image::load_from_memory(&camera).unwrap().write_to(&mut anew, image::ImageFormat::Jpeg).unwrap();
    Picture::decode(anew.get_ref(), "part.jpg", Limits::default()).unwrap();
}

#[test]
fn fault_03_a_png_is_held_to_its_checksums_and_its_end() {
    let whole = fixture("orientation_6.png");
    let at = |kind: &[u8]| whole.windows(4).position(|w| w == kind).unwrap();
    for kind in [b"IHDR", b"eXIf", b"IDAT", b"IEND"] {
        let mut bytes = whole.clone();
        let last = if kind == b"IEND" { 4 } else { 8 };
        bytes[at(kind) + last] ^= 1;
        let error = Picture::decode(&bytes, "it", Limits::default()).unwrap_err().to_string();
        let want = format!("checksum of its chunk {} is wrong; copy it again", String::from_utf8_lossy(kind));
        assert!(error.contains(&want), "{error}");
    }
    let without_end = Picture::decode(&whole[..at(b"IEND") - 4], "it", Limits::default()).unwrap_err();
    assert!(without_end.to_string().contains("is truncated; copy it again"), "{without_end}");
    assert!(Picture::decode(&[&whole[..], b"more"].concat(), "it", Limits::default()).is_ok());
}

#[test]
fn fault_03_parts_of_a_tiff_are_held_to_theirs() {
    for (name, want) in
        [("deflate.tif", "is a damaged TIFF file"), ("jpeg.tif", "contains JPEG data that is a damaged JPEG file")]
    {
        let mut bytes = fixture(name);
        // The first strip lies behind the header of 8 bytes, or wherever its scan is.
        let middle = if name == "jpeg.tif" { data(&bytes) + 300 } else { 200 };
        bytes[middle..middle + 20].fill(0);
        let error = Picture::decode(&bytes, "it", Limits::default()).unwrap_err().to_string();
        assert!(error.contains(want), "{name}: {error}");
    }
}

#[test]
fn fault_18_a_picture_that_cannot_be_resized_is_named() {
    let strip = Picture { name: "line/07.png".into(), ..Picture::new(60_000, 1, vec![0; 180_000]) };
    let preprocess = lupe::data::Preprocess::imagenet(256, 224);
    let wide = lupe::data::Preprocess { crop: None, ..preprocess };
    for error in
        [wide.prepare(&strip).unwrap_err(), wide.apply(&strip).unwrap_err(), preprocess.sized(&strip).unwrap_err()]
    {
        assert_eq!((error.exit_code(), error.to_string().contains("line/07.png: is 60000x1")), (3, true), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strip.png");
    image::RgbImage::new(60_000, 1).save(&path).unwrap();
    let read = Picture::open(&path, Limits::default()).unwrap();
    assert!(wide.prepare(&read).unwrap_err().to_string().contains("strip.png: is 60000x1"));
}

#[test]
fn fault_03_a_damaged_jpeg_is_not_scored() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (_, model) = fitted(&b);
    let (pictures, out) = (b.path("pictures"), b.path("out"));
    fs::create_dir(&pictures).unwrap();
    let picture = image::RgbImage::from_fn(72, 72, |x, y| image::Rgb([(x * 3) as u8, (y * 3) as u8, (x * y) as u8]));
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        picture.save(pictures.join(name)).unwrap();
    }
    fs::write(pictures.join("b.jpg"), fifth(&fs::read(pictures.join("b.jpg")).unwrap())).unwrap();
    let mut predict = verb(&["predict"]);
    predict.arg(&model).arg(&pictures).arg("-o").arg(&out);
    refused(&mut predict, 3, &["b.jpg: is a damaged JPEG file", "ends before its last block", "copy it again"]);
    assert!(!out.join("heatmaps/b.png").exists());
    refused(predict.arg("--keep-going").args(["--maps=npy", "--maps-outside=nan"]), 9, &["1 of 3 pictures", "b.jpg"]);
    let results = fs::read_to_string(out.join("results.ndjson")).unwrap();
    let broken = results.lines().find(|l| l.contains("b.jpg")).unwrap();
    assert!(broken.contains("\"score\":null") && broken.contains("damaged JPEG file"), "{broken}");
    assert!(out.join("heatmaps/a.png").exists() && !out.join("heatmaps/b.png").exists());
    assert!(out.join("maps/c.npy").exists() && !out.join("maps/b.npy").exists());
}

#[test]
fn fault_26_raw_maps_have_a_chosen_value_outside() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (_, model) = fitted(&b);
    let picture = b.path("wide.png");
    image::RgbImage::from_fn(120, 72, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, 9])).save(&picture).unwrap();
    let map = |out: &str, words: &[&str]| {
        let out = b.path(out);
        done(verb(&["predict"]).arg(&model).arg(&picture).arg("-o").arg(&out).args(words));
        let file = fs::read(out.join("maps/wide.npy")).unwrap();
        let score = fs::read_to_string(out.join("results.ndjson")).unwrap();
        (npyz::NpyFile::new(&file[..]).unwrap().into_vec::<f32>().unwrap(), score)
    };
    let (usual, result) = map("usual", &["--maps=npy"]);
    let outside = usual.iter().filter(|v| **v == f32::NEG_INFINITY).count();
    assert!(outside > 0 && usual.iter().all(|v| !v.is_nan()), "{outside}");
    for (value, of) in [("-1.5", -1.5f32), ("0", 0.0), ("nan", f32::NAN)] {
        let (got, same) = map(value, &["--maps=npy", &format!("--maps-outside={value}")]);
        assert_eq!(same, result, "nothing else changes");
        let want = usual.iter().map(|&v| if v == f32::NEG_INFINITY { of } else { v });
        assert!(got.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits()), "{value}");
    }
    let mut alone = verb(&["predict"]);
    refused(alone.arg(&model).arg(&picture).arg("-o").arg(b.path("o")).arg("--maps-outside=0"), 2, &["--maps"]);
}
