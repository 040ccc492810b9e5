//! Pictures brought to size: Pillow's resize bit for bit, PyTorch's in floats, masks, preprocessing, 16 bits.

use crate::common::hash;
use crate::common::skip::{skip, this_test};
use crate::common::vectors::{Vectors, nhwc, path};
use lupe::data::{ChannelOrder, Filter, Limits, Mask, Picture, Preprocess, Resampling, Samples, Scaling};
use lupe::engine::Graph;
use lupe::tensor::Tensor;
use std::path::Path;

fn bytes(t: &Tensor) -> Vec<u8> {
    t.data.iter().map(|&v| v as u8).collect()
}

/// A picture of a u8 tensor [h, w, 3].
fn picture(hwc: &Tensor) -> Picture {
    Picture::new(hwc.shape.dim(1), hwc.shape.dim(0), bytes(hwc))
}

fn raw(scaling: Option<Scaling>, filter: Filter, crop: Option<[usize; 2]>) -> Preprocess {
    let resampling = Resampling::Pillow;
    Preprocess {
        scaling,
        filter,
        resampling,
        crop,
        cut: None,
        order: ChannelOrder::Rgb,
        divisor: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

fn sized(p: &Preprocess, x: &Picture) -> Vec<u8> {
    p.sized(x).unwrap().rgb8().into_owned()
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
            assert!(*got.rgb8() == bytes(&want), "{name} {w}x{h}");
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
    within("preprocessing", &p.apply(x).unwrap().permute(&[0, 3, 1, 2]), want, 1e-6);
}

/// The same numbers, to `tolerance` absolute.
fn within(what: &str, got: &Tensor, want: &Tensor, tolerance: f32) {
    assert_eq!(got.data.len(), want.data.len(), "{what}");
    let off = got.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= tolerance && got.data.iter().all(|v| v.is_finite()), "{what}: off by {off}");
    println!("{what}: off by {off:.1e}");
}

/// As anomalib brings pictures to size, values 0 to 1.
fn float(scaling: Option<Scaling>, filter: Filter) -> Preprocess {
    Preprocess { resampling: Resampling::Float, divisor: 255.0, ..raw(scaling, filter, None) }
}

#[test]
fn resize_in_floats_of_the_anomaly_vectors() {
    let v = Vectors::open("ad/resize.safetensors");
    let chw = v.get("img_u8");
    let x = picture(&chw.permute(&[1, 2, 0]));
    for s in [32, 96] {
        let name = format!("tensor_square{s}_antialias");
        let got = float(Some(Scaling::Square(s)), Filter::Bilinear).apply(&x).unwrap().permute(&[0, 3, 1, 2]);
        within(&name, &got, &v.get(&name), 5e-6);
    }
    let unit = Tensor::new([1, 3, 48, 64], chw.data.iter().map(|v| v / 255.0).collect());
    let graph = Graph::new();
    let y = graph.input("x", [1, 48, 64, 3]).resize_bilinear(32, 32);
    let got = graph.eval(&[y], &[&nhwc(&unit)]).unwrap().remove(0);
    within("noantialias", &got.permute(&[0, 3, 1, 2]), &v.get("tensor_square32_noantialias"), 5e-6);
}

#[test]
fn masks_of_the_anomaly_vectors() {
    let v = Vectors::open("ad/resize.safetensors");
    let hw = v.get("mask_u8");
    let mask = Mask { width: 64, height: 48, bits: hw.data.iter().map(|&m| m > 0.0).collect(), unsure: 0 };
    let truth = |name: &str| v.get(name).data.iter().map(|&m| m > 0.0).collect::<Vec<bool>>();
    let square = raw(Some(Scaling::Square(20)), Filter::Bilinear, None);
    assert!(mask.sized(&square, true).unwrap() == truth("mask_nearest_20x20"));
    let short = raw(Some(Scaling::ShortEdge(32)), Filter::Bilinear, Some([28, 28]));
    let rgb = Picture::new(64, 48, hw.data.iter().flat_map(|&m| [m as u8; 3]).collect());
    let gray: Vec<f32> = sized(&short, &rgb).chunks(3).map(|p| f32::from(p[0]) / 255.0).collect();
    assert!(gray == v.get("mask_pil_bilinear_crop28_f32").data);
    assert!(mask.sized(&short, false).unwrap() == truth("mask_pil_bilinear_crop28_truncated_u8"));
}

#[test]
fn sixteen_bits_are_never_rounded() {
    let v = Vectors::open("ad/resize.safetensors");
    let x = picture(&v.get("img_u8").permute(&[1, 2, 0]));
    let deep = |values: Vec<u16>| Picture { samples: Samples::Sixteen(values), ..x.clone() };
    let same = deep(x.rgb8().iter().map(|&v| 257 * u16::from(v)).collect());
    let sizes = [None, Some(Scaling::ShortEdge(32)), Some(Scaling::Square(96)), Some(Scaling::Square(7))];
    for (scaling, filter) in sizes.into_iter().flat_map(|s| [(s, Filter::Bilinear), (s, Filter::Bicubic)]) {
        let eight = float(scaling, filter);
        // Whatever the preset says of 8 bits, 16 go by floats.
        let sixteen = Preprocess { resampling: Resampling::Pillow, ..eight };
        for crop in [None, Some([28, 70])] {
            let [eight, sixteen] = [eight, sixteen].map(|p| Preprocess { crop, ..p });
            within(&format!("{scaling:?}"), &sixteen.apply(&same).unwrap(), &eight.apply(&x).unwrap(), 1e-5);
        }
    }
    let whole = float(None, Filter::Bilinear);
    assert_eq!(whole.apply(&same).unwrap().data, whole.apply(&x).unwrap().data, "exact where nothing is resized");
    let bgr = Preprocess { divisor: 1.0, mean: [104.0, 117.0, 123.0], order: ChannelOrder::Bgr, ..whole };
    assert_eq!(bgr.apply(&same).unwrap().data, bgr.apply(&x).unwrap().data, "on the scale of 8 bits");
    // Levels that 8 bits do not tell apart.
    let fine = deep((0..48 * 64 * 3).map(|i| 30_000 + (i % 64) as u16).collect());
    let got = whole.apply(&fine).unwrap();
    assert!((0..64).all(|i| (got.data[i] - (30_000 + i) as f32 / 65535.0).abs() < 1e-7));
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
fn fault_27_real_jpegs_decode_as_pillow_does() {
    let v = Vectors::open("real/real_nets.safetensors");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut/test");
    if !data.exists() {
        return skip(&this_test(), "../shared/data/hazelnut is not here");
    }
    for (k, file) in ["good/04.jpg", "colour/00.jpg"].iter().enumerate() {
        let x = Picture::open(&data.join(file), Limits::default()).unwrap();
        let got = sized(&Preprocess::imagenet(256, 224), &x);
        let want = bytes(&v.get(&format!("{k}.crop_u8_hwc")));
        let off: Vec<u8> = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).collect();
        assert_eq!(off.iter().max(), Some(&0), "{file}");
    }
}
