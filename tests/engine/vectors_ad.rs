//! The ops of anomaly detection against PyTorch's, scipy's and the implementations' own values: first the references, then the
//! device. `LUPE_NO_GPU=1` leaves the device out visibly.

use crate::common;
use crate::common::hash;
use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, nhwc};
use lupe::engine::{Graph, Options, Plan, Store, Var, gradients};
use lupe::ops::blur::{Border, gaussian};
use lupe::ops::coreset::{k_center, lowered};
use lupe::ops::knn::Metric;
use lupe::tensor::Tensor;

/// `op` of `x` is `want`, both `[n, c, h, w]`, to `tolerance` absolute.
fn agree(what: &str, x: &Tensor, want: &Tensor, tolerance: f32, op: impl for<'g> Fn(Var<'g>) -> Var<'g>) {
    let pictures = |t: &Tensor| match *t.shape.dims() {
        [n, h, w] => t.clone().reshape([n, h, w, 1]),
        [h, w] => t.clone().reshape([1, h, w, 1]),
        _ => nhwc(t),
    };
    let (x, want) = (pictures(x), pictures(want));
    rows_agree(what, &[&x], &want, tolerance, |v| op(v[0]));
}

/// `op` of `inputs` holds the numbers of `want`, to `tolerance` absolute.
fn rows_agree(
    what: &str,
    inputs: &[&Tensor],
    want: &Tensor,
    tolerance: f32,
    op: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>,
) {
    let graph = Graph::new();
    let vars: Vec<Var> = inputs.iter().map(|t| graph.input("x", t.shape)).collect();
    let y = op(&vars);
    assert_eq!(y.shape().len(), want.data.len(), "{what}");
    let within = |got: &Tensor, by: &str| {
        let off = got.data.iter().zip(&want.data).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        assert!(off <= tolerance && got.data.iter().all(|v| v.is_finite()), "{what}, {by}: off by {off:e}");
        println!("{what}, {by}: off by {off:.1e}");
    };
    within(&graph.eval(&[y], inputs).unwrap()[0], "reference");
    if without_device(&format!("{what} on a device")) {
        return;
    }
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &[y], &Store::new(), Options::default())).unwrap();
    within(&pollster::block_on(plan.run(inputs)).unwrap()[0], "device");
}

fn largest(t: &Tensor) -> f32 {
    t.data.iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn resize() {
    let v = Vectors::open("ad/bilinear.safetensors");
    let x = v.get("x");
    agree("half_pixel_11x13", &x, &v.get("half_pixel_11x13"), 5e-6, |x| x.resize_bilinear(11, 13));
    agree("half_pixel_3x4", &x, &v.get("half_pixel_3x4"), 5e-6, |x| x.resize_bilinear(3, 4));
    agree("nearest_11x13", &x, &v.get("nearest_11x13"), 0.0, |x| x.resize_nearest(11, 13));
    for (from, to) in [(1, 3), (4, 8), (9, 15), (16, 32), (33, 63), (128, 56)] {
        let x = hash::tensor(&format!("bilinear.ae{from}"), [1, 1, from, from], 1.0, 0.0);
        let name = format!("ae_{from}_to_{to}");
        agree(&name, &x, &v.get(&name), 5e-6, |x| x.resize_bilinear(to, to));
    }
}

#[test]
fn resize_gradient() {
    let v = Vectors::open("ad/bilinear.safetensors");
    let [x, dy, want] = ["x", "grad_out_11x13", "grad_x_from_11x13"].map(|name| nhwc(&v.get(name)));
    rows_agree("grad_x_from_11x13", &[&x, &dy], &want, 5e-6, |v| {
        let y = v[0].resize_bilinear(11, 13) * v[1];
        gradients(y.reshape([y.shape().len()]).sum(), &v[..1])[0]
    });
}

/// To 1e-6 of the value, and as many elements reach the threshold as in PyTorch.
#[test]
fn quantiles_and_what_reaches_them() {
    let v = Vectors::open("ad/quantile.safetensors");
    let levels = [0.0, 0.5, 0.9, 0.995, 0.999, 1.0];
    assert!(
        v.get("q").data.iter().zip(levels).all(|(q, level)| (f64::from(*q) - level).abs() < 1e-6),
        "{:?}",
        v.get("q")
    );
    let a = hash::tensor("quant.a", [1, 1000], 0.5, 0.5);
    let mut big = hash::tensor("quant.big", [1, 1_204_224], 0.5, 0.5);
    big.data.iter_mut().for_each(|v| *v = v.powi(4));
    let (ties, one) = (v.get("ties").reshape([1, 10]), Tensor::new([1, 1], vec![0.7]));
    for (name, x) in [("a_q", &a), ("big_q", &big), ("ties_q", &ties), ("one_q", &one)] {
        for (q, want) in levels.into_iter().zip(v.get(name).data) {
            let bound = 1e-6 * want.abs();
            rows_agree(&format!("{name} {q}"), &[x], &Tensor::new([1], vec![want]), bound, |x| x[0].quantile(q));
        }
    }
    let mean = v.get("big_mean_ge_999");
    rows_agree("mean", &[&big], &mean, 1e-6 * mean.data[0], |x| x[0].hard_mean(x[0].quantile(0.999)));
    let graph = Graph::new();
    let threshold = values(&graph, &[graph.input("x", big.shape).quantile(0.999)], &[&big]).remove(0).data[0];
    let reached = big.data.iter().filter(|v| **v >= threshold).count();
    assert_eq!(reached, v.get("big_count_ge_999").data[0] as usize);
}

#[test]
fn patch_vectors() {
    let v = Vectors::open("ad/patchify.safetensors");
    let get = |name: &str| nhwc(&v.get(name));
    let (l2, l3) = (get("l2"), get("l3"));
    let check = |name: &str, l2: &Tensor, l3: &Tensor, k: usize, pre: usize, to: usize| {
        let want = v.get(name);
        let (h, w) = (l2.shape.dim(1), l2.shape.dim(2));
        rows_agree(name, &[l2, l3], &want, 1e-5 * largest(&want), |x| {
            x[0].patch_pool(k, pre).concat(x[1].patch_pool(k, pre).resize_bilinear(h, w), 3).channel_pool(to)
        });
    };
    check("official_pre16_target16", &l2, &l3, 3, 16, 16);
    check("official_pre16_target6", &l2, &l3, 3, 16, 6);
    check("official_p5_pre16_target16", &l2, &l3, 5, 16, 16);
    let map = |name: &str, c: usize, s: usize| nhwc(&hash::tensor(name, [1, c, s, s], 0.5, 0.5));
    let (big2, big3) = (map("patchify.big2", 512, 4), map("patchify.big3", 1024, 2));
    check("wrn50_like_official_1024", &big2, &big3, 3, 1024, 1024);
    check("wrn_like_official_384", &big2, &big3, 3, 1024, 384);
    let (r2, r3) = (map("patchify.r18_2", 128, 4), map("patchify.r18_3", 256, 2));
    check("resnet18_like_official_1024", &r2, &r3, 3, 1024, 1024);

    let want = v.get("anomalib_concat");
    rows_agree("anomalib_concat", &[&l2, &l3], &want, 1e-5 * largest(&want), |x| {
        x[0].avg_pool(3, 1, 1, true).concat(x[1].avg_pool(3, 1, 1, true).resize_bilinear(6, 6), 3)
    });
    for (name, from, to) in [("adaptive_4608_to_1024", 4608, 1024), ("adaptive_2048_to_384", 2048, 384)] {
        let x = hash::tensor("patchify.vec", [1, 1, 1, from], 1.0, 0.0);
        rows_agree(name, &[&x], &v.get(name), 1e-5, |x| x[0].channel_pool(to));
    }
}

#[test]
fn anomaly_maps() {
    let v = Vectors::open("ad/anomaly_map.safetensors");
    let scores = v.get("patch_scores");
    let bound = |name: &str| 1e-5 * largest(&v.get(name));
    agree("up_bilinear_56", &scores, &v.get("up_bilinear_56"), bound("up_bilinear_56"), |x| x.resize_bilinear(56, 56));
    agree("up_nearest_56", &scores, &v.get("up_nearest_56"), 0.0, |x| x.resize_nearest(56, 56));
    agree("official_map_56", &scores, &v.get("official_map_56"), bound("official_map_56"), |x| {
        x.resize_bilinear(56, 56).gaussian_blur(4.0, Border::Symmetric)
    });
    agree("anomalib_map_56", &scores, &v.get("anomalib_map_56"), bound("anomalib_map_56"), |x| {
        x.resize_nearest(56, 56).gaussian_blur(4.0, Border::Reflect)
    });
    let small = v.get("small_10x12");
    agree("small_scipy_sigma4", &small, &v.get("small_scipy_sigma4"), bound("small_scipy_sigma4"), |x| {
        x.gaussian_blur(4.0, Border::Symmetric)
    });
    let (taps, want) = (gaussian(4.0), v.get("gauss33"));
    assert!(taps.data.iter().zip(&want.data).all(|(g, w)| (g - w).abs() < 1e-7), "gauss33");
}

fn indices(t: &Tensor) -> Vec<usize> {
    t.data.iter().map(|&v| v as usize).collect()
}

/// Values of `outputs`, by the device or, without one, by the references.
fn values(graph: &Graph, outputs: &[Var], inputs: &[&Tensor]) -> Vec<Tensor> {
    if std::env::var_os("LUPE_NO_GPU").is_some() {
        return graph.eval(outputs, inputs).unwrap();
    }
    let plan = pollster::block_on(Plan::new(gpu(), graph, outputs, &Store::new(), Options::default())).unwrap();
    pollster::block_on(plan.run(inputs)).unwrap()
}

/// Distances to rows `starts` of `y`, one `[n]` each.
fn distances<'g>(y: Var<'g>, starts: &[usize]) -> Vec<Var<'g>> {
    let far = y.graph().weight("far", Tensor::new([y.dim(0)], vec![f32::INFINITY; y.dim(0)]).into());
    let to = |&s: &usize| {
        let pick = y.graph().weight(&format!("pick.{s}"), Tensor::new([1, 2], vec![0.0, s as f32]).into());
        lowered(&[y], &[far], pick)[0]
    };
    starts.iter().map(to).collect()
}

/// `steps` picks from these anchors.
fn picked(rows: &Tensor, anchors: &Tensor, steps: usize) -> Vec<usize> {
    let graph = Graph::new();
    let (y, anchor) = (graph.weight("rows", rows.clone().into()), graph.input("anchor", anchors.shape));
    let picks = k_center(&[y], &[anchor], steps).picks;
    values(&graph, &picks, &[anchors]).iter().map(|p| p.data[1] as usize).collect()
}

/// The mean distance of every row to rows `starts`.
fn mean_distance(rows: &Tensor, starts: &[usize]) -> Tensor {
    let graph = Graph::new();
    let y = graph.weight("rows", rows.clone().into());
    let sum = distances(y, starts).into_iter().reduce(|a, b| a + b).unwrap();
    values(&graph, &[sum.affine(1.0 / starts.len() as f32, 0.0)], &[]).remove(0)
}

#[test]
fn coreset() {
    let v = Vectors::open("ad/coreset.safetensors");
    let (rows, w) = (v.get("x"), v.get("w"));
    let want = v.get("y");
    rows_agree("projection", &[&rows, &w], &want, 1e-5 * largest(&want), |x| x[0].matmul_t(x[1]));

    let anchor = mean_distance(&want, &indices(&v.get("start")));
    let off = anchor.data.iter().zip(&v.get("anchor0_approx").data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= 1e-4, "anchor0_approx: off by {off}");
    let approx = picked(&want, &anchor, 20);
    assert_eq!(approx, indices(&v.get("sel_approx")));

    let centre = [vec![5], picked(&want, &mean_distance(&want, &[5]), 19)].concat();
    assert_eq!(centre, indices(&v.get("sel_kcenter_first5")));
    let plain = [vec![0], picked(&rows, &mean_distance(&rows, &[0]), 19)].concat();
    assert_eq!(plain, indices(&v.get("sel_kcenter_noproj_first0")));

    let radius = |chosen: &[usize]| {
        let row = |i: usize| &want.data[i * 8..][..8];
        let apart = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        (0..200).map(|i| chosen.iter().map(|&j| apart(i, j)).fold(f64::INFINITY, f64::min)).fold(0.0, f64::max)
    };
    let cover = v.get("cover_radius").data;
    for (chosen, want) in [(&approx, cover[0]), (&centre, cover[2])] {
        assert!((radius(chosen) - f64::from(want)).abs() < 1e-5, "{} against {want}", radius(chosen));
    }
    assert!(f64::from(cover[3]) > radius(&approx), "the first rows cover less");
}

#[test]
fn nearest_neighbours() {
    let v = Vectors::open("ad/score.safetensors");
    let (bank, queries) = (v.get("bank"), v.get("query").reshape([24, 16]));
    let graph = Graph::new();
    let (q, m) = (graph.input("q", [24, 16]), graph.weight("bank", bank.into()));
    let outputs = [q.knn(&[m], 1, Metric::L2, None), q.knn(&[m], 3, Metric::SquaredL2, None)];
    let got = values(&graph, &outputs, &[&queries]);
    let part = |t: &Tensor, which: usize| t.data.chunks(2).map(|p| p[which]).collect::<Vec<f32>>();
    let close = |name: &str, got: &[f32]| common::vectors::close(name, got, &v.get(name).data, 1e-5);
    close("nn_l2", &part(&got[0], 0));
    assert_eq!(part(&got[0], 1), v.get("nn_index").data);
    let squares = part(&got[1], 0);
    close("patch_sq_k1", &squares.iter().copied().step_by(3).collect::<Vec<_>>());
    close("patch_sq_meank3", &squares.chunks(3).map(|s| s.iter().sum::<f32>() / 3.0).collect::<Vec<_>>());
}
