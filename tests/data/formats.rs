//! Every format of picture against Pillow's values, and every kind of broken file. The files are made by
//! `tests/fixtures/pictures/make.py`.

use image::ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
use lupe::data::{Limits, Mask, Picture, Samples};
use std::io::Cursor;
use std::path::{Path, PathBuf};

const FORMATS: [image::ImageFormat; 5] = [Png, Jpeg, Bmp, Tiff, WebP];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures").join(name)
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn open(name: &str) -> Picture {
    Picture::open(&fixture(name), Limits::default()).unwrap()
}

/// Columns, rows and RGB that Pillow gives.
fn pillow(name: &str) -> (usize, usize, Vec<u8>) {
    let want = image::load_from_memory(&file(&format!("{name}.want.png"))).unwrap().into_rgb8();
    (want.width() as usize, want.height() as usize, want.into_raw())
}

/// The largest and the mean difference from Pillow's values.
fn apart(name: &str) -> (u8, f64) {
    let (got, (width, height, want)) = (open(name), pillow(name));
    assert_eq!((got.width, got.height), (width, height), "{name}");
    let Samples::Eight(got) = got.samples else { panic!("{name} has 16 bits") };
    assert_eq!(got.len(), want.len(), "{name}");
    let off: Vec<u8> = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = off.iter().map(|&o| f64::from(o)).sum::<f64>() / off.len() as f64;
    let max = off.iter().max().copied().unwrap_or(0);
    println!("{name}: at most {max}, on average {mean:.4}");
    (max, mean)
}

#[test]
fn lossless_files_are_pillows_bit_for_bit() {
    const NAMES: &str = "palette.png palette_2bit.png one_bit.png la.png rgba.png gray_key.png rgb.bmp rgba.bmp gray.bmp \
        one_bit.bmp palette.bmp runs.bmp lossless.webp lossless_rgba.webp rgb.tif lzw.tif deflate.tif \
        packbits.tif rgba.tif gray.tif one_bit.tif fax.tif orientation_6.png orientation_6.webp \
        orientation_6.tif";
    for name in NAMES.split(' ') {
        assert_eq!(apart(name), (0, 0.0), "{name}");
    }
}

#[test]
fn fault_27_lossy_files_are_pillows_bit_for_bit() {
    const NAMES: &str = "lossy.webp jpeg_444.jpg jpeg_422.jpg jpeg_440.jpg jpeg_420.jpg jpeg_411.jpg jpeg_gray.jpg jpeg_odd.jpg \
        jpeg_rgb.jpg jpeg_coarse.jpg jpeg_optimized.jpg jpeg_scans.jpg jpeg_restart.jpg jpeg_restart_444.jpg jpeg_progressive.jpg \
        jpeg_progressive_444.jpg jpeg_progressive_restart.jpg";
    for name in NAMES.split(' ') {
        assert_eq!(apart(name), (0, 0.0), "{name}");
    }
    // JPEG in TIFF is the TIFF decoder's; measured: 3 and 0.380.
    let (largest, mean) = apart("jpeg.tif");
    assert!(largest <= 3 && mean <= 0.4, "{largest}, on average {mean}");
}

#[test]
fn exif_turns_pictures_upright() {
    for i in 1..=8 {
        assert_eq!(apart(&format!("orientation_{i}.jpg")).0, 0, "orientation {i}");
    }
    let mask = Mask::open(&fixture("orientation_6.png"), Limits::default()).unwrap();
    assert_eq!((mask.width, mask.height), (16, 24));
    let block = |x: usize, y: usize| mask.bits[y * 8 * 16 + x * 8];
    let blocks: Vec<bool> = (0..6).map(|i| block(i % 2, i / 2)).collect();
    assert_eq!(blocks, [true, true, false, true, false, false]);
}

#[test]
fn sixteen_bits_are_kept() {
    let rule = |x: usize, y: usize, c: usize| ((x * 5003 + y * 7919 + c * 20011 + 77) % 65536) as u16;
    const NAMES: &str = "deep_gray.png deep_gray_ii.tif deep_la.png deep_rgb.png deep_rgba.png deep_rgb_ii.tif deep_rgb_mm.tif \
        deep_rgba_mm.tif";
    for name in NAMES.split(' ') {
        let gray = name.contains("gray") || name.contains("la");
        let got = open(name);
        let at = |i: usize| rule(i / 3 % 20, i / 60, if gray { 0 } else { i % 3 });
        let want: Vec<u16> = (0..20 * 14 * 3).map(at).collect();
        assert_eq!((got.width, got.height), (20, 14), "{name}");
        assert!(got.samples == Samples::Sixteen(want), "{name}");
    }
    let samples = Samples::Sixteen(vec![0, 128, 129, 257, 65406, 65535]);
    let deep = Picture { samples, ..Picture::new(1, 2, vec![]) };
    assert_eq!(*deep.rgb8(), [0, 0, 1, 1, 254, 255]);
}

/// A TIFF of gray pages, by their kinds and widths: 0 a page, 1 a smaller copy, 4 a mask.
fn tiff(pages: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes = b"II*\0".to_vec();
    bytes.extend(8_u32.to_le_bytes());
    for (i, (kind, wide)) in pages.iter().enumerate() {
        let at = bytes.len() as u32;
        let tags = [
            (254, *kind),
            (256, *wide),
            (257, 1),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 4),
            (277, 1),
            (278, 1),
            (279, *wide),
        ];
        bytes.extend((tags.len() as u16).to_le_bytes());
        for (tag, value) in tags {
            bytes.extend([&(tag as u16).to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat());
        }
        let next = if i + 1 < pages.len() { at + 6 + 12 * tags.len() as u32 } else { 0 };
        bytes.extend(next.to_le_bytes());
    }
    bytes
}

#[test]
fn hunt_a_file_of_several_pictures_gets_no_verdict_on_the_first() {
    const SEVERAL: &str = "holds more than one picture; save each to a file of its own";
    for name in ["animated.webp", "pages.tif"] {
        refused(&file(name), SEVERAL);
    }
    for name in ["jpeg_420.jpg", "rgba.png", "rgb.bmp", "lossless.webp"] {
        let whole = file(name);
        refused(&[&whole[..], &whole].concat(), SEVERAL);
        let more = [&whole[..], b"anything else"].concat();
        assert!(Picture::decode(&more, name, Limits::default()).unwrap() == open(name), "{name}");
    }
    // What a phone puts behind a JPEG is smaller: a preview.
    let more = [file("jpeg_420.jpg"), file("orientation_1.jpg")].concat();
    assert!(Picture::decode(&more, "it", Limits::default()).unwrap() == open("jpeg_420.jpg"));
    let mut animated = file("rgba.png");
    let mut chunk = b"acTL\0\0\0\x02\0\0\0\0".to_vec();
    let sum = crc32fast::hash(&chunk).to_be_bytes();
    chunk.splice(0..0, [0, 0, 0, 8]);
    animated.splice(33..33, chunk.into_iter().chain(sum));
    refused(&animated, SEVERAL);
    let (whole, preview, mask) = ((0, 2), (1, 1), (4, 1));
    for pages in [&[whole][..], &[whole, preview, mask]] {
        Picture::decode(&tiff(pages), "it", Limits::default()).unwrap();
    }
    // A preview that is as large as the picture is another picture.
    for pages in [&[whole, whole][..], &[whole, preview, whole], &[whole, (1, 2)]] {
        refused(&tiff(pages), SEVERAL);
    }
    // What ImageJ calls a stack has one directory, and a description whose place stands in the directory.
    let stack = |count: u32| {
        let mut bytes = tiff(&[whole, whole]);
        let (at, text) = (bytes.len() as u32, format!("ImageJ=1.53\nimages={count}\n\0"));
        let entry =
            [&270_u16.to_le_bytes()[..], &[2, 0], &(text.len() as u32).to_le_bytes(), &at.to_le_bytes()].concat();
        bytes[10..22].copy_from_slice(&entry); // in the place of the kind
        let end = 10 + 12 * 10;
        bytes[end..end + 4].fill(0);
        bytes.extend(text.bytes());
        bytes
    };
    Picture::decode(&stack(1), "it", Limits::default()).unwrap();
    refused(&stack(3), SEVERAL);
    let mut five = tiff(&[whole]);
    five[10 + 12 * 7 + 8] = 5;
    refused(&five, "has 5 channels, which is more than colour and alpha");
    refused(&tiff(&[preview, whole]), "begins with a preview or a mask of its picture; save the picture alone");
    // The small one first, or behind something else.
    let (large, small) = (file("jpeg_420.jpg"), file("orientation_1.jpg"));
    refused(&[&small[..], &large].concat(), SEVERAL);
    refused(&[&large[..], &small, b"and", &large].concat(), SEVERAL);
    refused(&[], "is empty, it has no bytes; copy it again");
}

fn refused(bytes: &[u8], want: &str) {
    let error = Picture::decode(bytes, "it.png", Limits::default()).expect_err(want);
    assert!(error.to_string().contains(want) && error.to_string().contains("it.png"), "{want}: {error}");
    assert_eq!(error.exit_code(), 3);
    println!("{error}");
}

#[test]
fn rare_kinds_are_refused_with_a_reason() {
    refused(b"this is a text, not a picture", "not a PNG, JPEG, BMP, TIFF or WebP file; convert it");
    refused(b"GIF89a..............", "not a PNG");
    for (name, want) in [
        ("cmyk.jpg", "is a CMYK JPEG, whose colours depend on the printer; save it as RGB"),
        ("ycck.jpg", "is a CMYK JPEG"),
        ("cmyk.tif", "is CMYK, whose colours depend on the printer; save it as RGB"),
        ("float.tif", "save it as gray or RGB with 8 or 16 bits"),
        ("float_rgb.tif", "has floating-point values"),
        ("la.tif", "save it as gray or RGB with 8 or 16 bits"),
        ("palette.tif", "save it as gray or RGB with 8 or 16 bits"),
    ] {
        refused(&file(name), want);
    }
    let jpeg = file("jpeg_444.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let changed = |at: usize, to: u8| {
        let mut jpeg = jpeg.clone();
        jpeg[at] = to;
        jpeg
    };
    refused(&changed(frame + 4, 12), "more than 8 bits");
    refused(&changed(frame + 1, 0xc9), "arithmetic-coded");
    refused(&changed(frame + 1, 0xc3), "lossless");
    let dir = tempfile::tempdir().unwrap();
    assert!(Picture::open(dir.path(), Limits::default()).unwrap_err().to_string().contains("folder"));
    assert_eq!(Picture::open(&dir.path().join("none.png"), Limits::default()).unwrap_err().exit_code(), 3);
}

fn encoded(format: image::ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(vec![]);
    let noise = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, 9]));
    noise.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A file of that format whose header claims this size, all checksums right.
fn claims(format: image::ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut it = encoded(format);
    let mut put = |at: usize, bytes: &[u8]| it[at..at + bytes.len()].copy_from_slice(bytes);
    match format {
        Png => {
            put(16, &width.to_be_bytes());
            put(20, &height.to_be_bytes());
            let crc = it[12..29].iter().fold(u32::MAX, |crc, &b| {
                (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
            });
            it[29..33].copy_from_slice(&(!crc).to_be_bytes());
        }
        Bmp => {
            put(18, &width.to_le_bytes());
            put(22, &height.to_le_bytes());
        }
        Jpeg => {
            let frame = it.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
            it[frame + 5..frame + 7].copy_from_slice(&(height as u16).to_be_bytes());
            it[frame + 7..frame + 9].copy_from_slice(&(width as u16).to_be_bytes());
        }
        Tiff => {
            let ifd = u32::from_le_bytes(it[4..8].try_into().unwrap()) as usize;
            for entry in it[ifd + 2..].chunks_exact_mut(12) {
                match u16::from_le_bytes([entry[0], entry[1]]) {
                    256 => entry[8..].copy_from_slice(&width.to_le_bytes()),
                    257 | 278 => entry[8..].copy_from_slice(&height.to_le_bytes()),
                    _ => {}
                }
            }
        }
        // Lossless: 14 bits each, less one, after a signature of one byte.
        _ => put(21, &(width.saturating_sub(1) | height.saturating_sub(1) << 14).to_le_bytes()),
    }
    it
}

#[test]
fn sizes_are_bounded_by_the_header_alone() {
    for format in [Png, Jpeg, Bmp, Tiff] {
        refused(&claims(format, 60000, 60000), "60000x60000");
        for size in [[0, 30], [40, 0]] {
            let nothing = claims(format, size[0], size[1]);
            assert!(Picture::decode(&nothing, "empty", Limits::default()).is_err(), "{format:?} of {size:?}");
        }
    }
    refused(
        &claims(WebP, 16383, 16383),
        "is 16383x16383, 268402689 pixels; must be between 1 and 200000000: make it smaller",
    );
    for format in FORMATS {
        let whole = encoded(format);
        assert!(Picture::decode(&whole, "it", Limits { pixels: 1200 }).is_ok(), "{format:?}");
        let error = Picture::decode(&whole, "it", Limits { pixels: 1199 }).unwrap_err();
        assert!(error.to_string().contains("40x30"), "{format:?}: {error}");
    }
}

/// Files of every format and coding, small ones.
fn samples() -> Vec<(String, Vec<u8>)> {
    const NAMES: &str = "jpeg_420.jpg jpeg_progressive.jpg orientation_6.jpg palette.png deep_la.png orientation_6.png rgba.bmp \
        palette.bmp runs.bmp one_bit.bmp lossless_rgba.webp lossy.webp orientation_6.webp lzw.tif \
        deflate.tif packbits.tif fax.tif rgb.tif deep_rgb_mm.tif float_rgb.tif cmyk.tif";
    let made = FORMATS.iter().map(|&f| (format!("{f:?}"), encoded(f)));
    made.chain(NAMES.split(' ').map(|n| (n.to_string(), file(n)))).collect()
}

#[test]
fn cut_files_are_refused_or_whole() {
    for (name, bytes) in samples() {
        let Ok(whole) = Picture::decode(&bytes, &name, Limits::default()) else { continue };
        let (mut accepted, mut wrong) = (0, vec![]);
        for i in 0..bytes.len() {
            match Picture::decode(&bytes[..i], &name, Limits::default()) {
                Ok(cut) if cut != whole => wrong.push(i),
                Ok(_) => accepted += 1,
                Err(e) => assert_eq!(e.exit_code(), 3),
            }
        }
        println!("{name}: {} bytes, {accepted} cuts that lose nothing", bytes.len());
        assert!(wrong.is_empty(), "{name} is filled up when cut at {wrong:?}");
    }
    // The end marker of a thumbnail does not make a file whole.
    let jpeg = file("jpeg_420.jpg");
    let comment = [&[0xff, 0xfe, 0, 6, 9, 0xff, 0xd9, 9], &jpeg[2..]].concat();
    let with = [&jpeg[..2], &comment].concat();
    assert!(Picture::decode(&with, "it", Limits::default()).is_ok());
    refused(&with[..with.len() / 2], "is a truncated JPEG file: its end marker is missing; copy it again");
}

#[test]
fn flipped_files_never_panic() {
    for (name, whole) in samples() {
        for i in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[i] ^= 1 << (i % 8);
            let _ = Picture::decode(&bytes, &name, Limits { pixels: 1_000_000 });
        }
    }
}
