//! Pictures: decoding, Pillow's resize bit for bit, preprocessing, and every kind of broken file.

mod common;

use common::hash;
use common::vectors::{Vectors, path};
use lupe::data::{ChannelOrder, Filter, Limits, Picture, Preprocess, Scaling};
use lupe::tensor::Tensor;
use std::path::Path;

fn bytes(t: &Tensor) -> Vec<u8> {
    t.data.iter().map(|&v| v as u8).collect()
}

/// A picture of a u8 tensor [h, w, 3].
fn picture(hwc: &Tensor) -> Picture {
    Picture { width: hwc.shape.dim(1), height: hwc.shape.dim(0), rgb: bytes(hwc) }
}

fn raw(scaling: Option<Scaling>, filter: Filter, crop: Option<[usize; 2]>) -> Preprocess {
    Preprocess { scaling, filter, crop, order: ChannelOrder::Rgb, divisor: 1.0, mean: [0.0; 3], std: [1.0; 3] }
}

fn sized(p: &Preprocess, x: &Picture) -> Vec<u8> {
    p.sized(x).unwrap().rgb
}

#[test]
fn resize_is_pillows_bit_for_bit() {
    let v = Vectors::open("image_resize.safetensors");
    let x = picture(&v.get("rgb_hwc"));
    let file = std::fs::read(path("sample_61x47.png")).unwrap();
    assert_eq!(Picture::decode(&file, "sample", Limits::default()).unwrap(), x);
    let mut seen = 0;
    for (name, filter) in [("bilinear", Filter::Bilinear), ("bicubic", Filter::Bicubic)] {
        for (w, h) in [(32, 24), (61, 20), (30, 47), (100, 90), (7, 5), (61, 47)] {
            let want = v.get(&format!("pil_{name}_w{w}_h{h}"));
            let got = lupe::data::resize(&x, w, h, filter);
            assert!(got.rgb == bytes(&want), "{name} {w}x{h}");
            seen += 1;
        }
        let short = raw(Some(Scaling::ShortEdge(32)), filter, None);
        assert!(sized(&short, &x) == bytes(&v.get(&format!("short32_{name}_hwc"))), "{name} short edge");
        let crop = Preprocess { crop: Some([28, 28]), ..short };
        assert!(sized(&crop, &x) == bytes(&v.get(&format!("short32_crop28_{name}_hwc"))), "{name} crop");
    }
    assert_eq!(seen, 12);
    let padded = raw(None, Filter::Bilinear, Some([64, 64]));
    assert!(sized(&padded, &x) == bytes(&v.get("crop64_of_61x47_zero_pad_hwc")), "zero padding");
}

#[test]
fn resize_of_the_anomaly_vectors() {
    let v = Vectors::open("ad/resize.safetensors");
    let chw = v.get("img_u8");
    assert_eq!(chw.data, hash::image("resize.img", 48, 64).data);
    let x = picture(&chw.permute(&[1, 2, 0]));
    let hwc = |name: &str| bytes(&v.get(name).permute(&[1, 2, 0]));
    let short = raw(Some(Scaling::ShortEdge(32)), Filter::Bilinear, None);
    assert!(sized(&short, &x) == hwc("pil_short32_u8"));
    for (crop, name) in [([28, 28], "pil_short32_crop28_u8"), ([27, 30], "pil_short32_crop27x30_u8")] {
        assert!(sized(&Preprocess { crop: Some(crop), ..short }, &x) == hwc(name), "{name}");
    }
    for s in [32, 96] {
        let square = raw(Some(Scaling::Square(s)), Filter::Bilinear, None);
        assert!(sized(&square, &x) == hwc(&format!("pil_square{s}_u8")), "square {s}");
    }
    near(&Preprocess::imagenet(32, 28), &x, &v.get("pil_short32_crop28_norm"));
}

fn near(p: &Preprocess, x: &Picture, want: &Tensor) {
    let got = p.apply(x).unwrap().permute(&[0, 3, 1, 2]);
    assert_eq!(got.data.len(), want.data.len());
    let off = got.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= 1e-6, "off by {off}");
}

#[test]
fn preprocessing_of_the_vectors() {
    let v = Vectors::open("image_resize.safetensors");
    let x = picture(&v.get("rgb_hwc"));
    let imagenet = Preprocess::imagenet(32, 28);
    near(&imagenet, &x, &v.get("pre_imagenet_bilinear32_crop28"));
    let squash = Preprocess { scaling: Some(Scaling::Square(32)), crop: None, ..imagenet };
    near(&squash, &x, &v.get("pre_squash32x32_bilinear"));
    let clip = Preprocess {
        scaling: Some(Scaling::ShortEdge(28)),
        filter: Filter::Bicubic,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        ..imagenet
    };
    near(&clip, &x, &v.get("pre_clip_bicubic28_crop28"));
}

#[test]
fn real_jpegs_decode_as_pillow_does_within_two_levels() {
    let v = Vectors::open("real/real_nets.safetensors");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut/test");
    if !data.exists() {
        println!("the real pictures are not at hand");
        return;
    }
    for (k, file) in ["good/04.jpg", "colour/00.jpg"].iter().enumerate() {
        let x = Picture::open(&data.join(file), Limits::default()).unwrap();
        let got = sized(&Preprocess::imagenet(256, 224), &x);
        let want = bytes(&v.get(&format!("{k}.crop_u8_hwc")));
        let off: Vec<u8> = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).collect();
        let mean = off.iter().map(|&o| f64::from(o)).sum::<f64>() / off.len() as f64;
        let max = off.iter().max().copied().unwrap_or(0);
        println!("{file}: at most {max}, on average {mean:.4}");
        assert!(max <= 4 && mean <= 0.25, "{file}: at most {max}, on average {mean:.4}");
    }
}

fn refused(bytes: &[u8], want: &str) {
    let error = Picture::decode(bytes, "it.png", Limits::default()).unwrap_err();
    assert!(error.to_string().contains(want) && error.to_string().contains("it.png"), "{error}");
    assert_eq!(error.exit_code(), 3);
}

fn encoded(format: image::ImageFormat) -> Vec<u8> {
    let mut out = std::io::Cursor::new(vec![]);
    let noise = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, 9]));
    noise.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A PNG header that claims this size.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(image::ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = png[12..29].iter().fold(u32::MAX, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    });
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

#[test]
fn broken_pictures_are_refused() {
    refused(b"this is a text, not a picture", "no PNG or JPEG");
    refused(b"", "no PNG or JPEG");
    let jpeg = encoded(image::ImageFormat::Jpeg);
    refused(&jpeg[..jpeg.len() / 2], "truncated JPEG");
    let png = encoded(image::ImageFormat::Png);
    refused(&png[..png.len() / 2], "cannot be decoded");
    refused(&claims(60000, 60000), "60000x60000");
    let deep = image::DynamicImage::new_rgb16(4, 4);
    let mut out = std::io::Cursor::new(vec![]);
    deep.write_to(&mut out, image::ImageFormat::Png).unwrap();
    refused(&out.into_inner(), "16 bits");
    let dir = tempfile::tempdir().unwrap();
    assert!(Picture::open(dir.path(), Limits::default()).unwrap_err().to_string().contains("folder"));
    assert_eq!(Picture::open(&dir.path().join("none.png"), Limits::default()).unwrap_err().exit_code(), 3);
}

#[test]
fn gray_and_alpha_become_rgb() {
    let mut out = std::io::Cursor::new(vec![]);
    image::GrayImage::from_fn(3, 2, |x, _| image::Luma([x as u8 * 50]))
        .write_to(&mut out, image::ImageFormat::Png)
        .unwrap();
    let x = Picture::decode(&out.into_inner(), "gray", Limits::default()).unwrap();
    assert_eq!(x.rgb[..9], [0, 0, 0, 50, 50, 50, 100, 100, 100]);
    let mut out = std::io::Cursor::new(vec![]);
    image::RgbaImage::from_pixel(1, 1, image::Rgba([1, 2, 3, 0])).write_to(&mut out, image::ImageFormat::Png).unwrap();
    assert_eq!(Picture::decode(&out.into_inner(), "alpha", Limits::default()).unwrap().rgb, [1, 2, 3]);
}

#[test]
fn flipped_and_cut_files_never_panic() {
    for format in [image::ImageFormat::Png, image::ImageFormat::Jpeg] {
        let whole = encoded(format);
        for i in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[i] ^= 1 << (i % 8);
            let _ = Picture::decode(&bytes, "flipped", Limits::default());
            let _ = Picture::decode(&whole[..i], "cut", Limits::default());
        }
    }
}
