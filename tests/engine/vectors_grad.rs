//! Gradients of layer norm, activations, rows of length one, cross-entropy and attention, and DiffAugment, against PyTorch's values: first
//! the references, then the device. `LUPE_NO_GPU=1` leaves the device out visibly.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, close, nhwc};
use lupe::engine::graph::Source;
use lupe::engine::probe::{labels, probe};
use lupe::engine::{Backward, Graph, Op, Options, Plan, Store, Var};
use lupe::methods::augment::{Draw, Draws};
use lupe::tensor::{Shape, Tensor};
use std::rc::Rc;

/// What the rule of the op that gives `y` makes of `dy`, for each of its inputs `x`.
fn back<'g>(x: &[Var<'g>], y: Var<'g>, dy: Var<'g>) -> Vec<Option<Var<'g>>> {
    let nodes = y.graph().nodes().unwrap();
    let Source::Op(op) = &nodes[y.id()].source else { panic!("no op gives it") };
    assert_eq!(nodes[y.id()].inputs, x.iter().map(Var::id).collect::<Vec<_>>());
    op.vjp(&Backward { x, y, dy, wanted: &vec![true; x.len()] }).expect("it has a rule")
}

/// Outputs of a graph of these tensors by the references and on the device, each held to a tensor by `hold`.
fn agree(
    given: &[Tensor],
    want: &[(&str, Tensor)],
    hold: fn(&str, &Tensor, &Tensor),
    build: impl for<'g> Fn(&[Var<'g>]) -> Vec<Var<'g>>,
) {
    let graph = Graph::new();
    let vars: Vec<Var> = given.iter().enumerate().map(|(i, t)| graph.input(&format!("x{i}"), t.shape)).collect();
    let outputs = build(&vars);
    assert_eq!(outputs.len(), want.len());
    let given: Vec<&Tensor> = given.iter().collect();
    let each = |where_: &str, got: Vec<Tensor>| {
        for (got, (name, want)) in got.iter().zip(want) {
            hold(&format!("{name}, {where_}"), got, want);
        }
    };
    each("reference", graph.eval(&outputs, &given).unwrap());
    if without_device(&format!("{} on a device", want[0].0)) {
        return;
    }
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &outputs, &Store::new(), Options::default())).unwrap();
    each("device", pollster::block_on(plan.run(&given)).unwrap());
}

/// To 1e-6 absolute and 1e-5 relative, element by element.
fn within(what: &str, got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape.len(), want.shape.len(), "{what}");
    for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
        assert!((g - w).abs() <= 1e-6 + 1e-5 * w.abs(), "{what}: element {i} is {g}, PyTorch has {w}");
    }
}

/// To 1e-4 of the largest: what the vectors' README suggests for gradients.
fn near(what: &str, got: &Tensor, want: &Tensor) {
    close(what, &got.data, &want.data, 1e-4);
}

#[test]
fn layer_norm() {
    let file = Vectors::open("ops.safetensors");
    let given = ["ln.x", "ln.weight", "ln.bias", "ln.dy"].map(|name| file.get(name));
    for (eps, text) in [(1e-5, "1e-05"), (1e-6, "1e-06")] {
        let names = ["dx", "dweight", "dbias"].map(|of| format!("ln.eps{text}.{of}"));
        let want = names.each_ref().map(|name| (name.as_str(), file.get(name)));
        agree(&given, &want, near, |x| {
            let y = x[0].layer_norm(x[1], x[2], eps);
            back(&x[..3], y, x[3]).into_iter().flatten().collect()
        });
    }
}

#[test]
fn activations() {
    let file = Vectors::open("ops.safetensors");
    let x = file.get("act.x");
    let x = Tensor::new([x.data.len() - 4], x.data[2..x.data.len() - 2].to_vec());
    let dy = Tensor::from_fn(x.shape, |_| 1.0);
    let names = ["gelu_erf", "quick_gelu"].map(|name| format!("act.{name}.grad_x2_to_xm2"));
    let want = names.each_ref().map(|name| (name.as_str(), file.get(name)));
    agree(&[x, dy], &want, within, |x| {
        [x[0].gelu(), x[0].quick_gelu()].into_iter().flat_map(|y| back(&x[..1], y, x[1])).flatten().collect()
    });
}

/// The op that gives the gradient by `x[0]` of an op of these.
fn rule_of(shapes: &[Shape], op: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>) -> Rc<dyn Op> {
    let graph = Graph::new();
    let x: Vec<Var> = shapes.iter().map(|s| graph.input("x", *s)).collect();
    let y = op(&x);
    let by = back(&x, y, graph.input("dy", y.shape()))[0].expect("a gradient");
    let nodes = graph.nodes().unwrap();
    let Source::Op(op) = &nodes[by.id()].source else { panic!("no op gives it") };
    op.clone()
}

/// The slopes of both to 1e-6, by every candidate: from where they are nothing to where they are 1.
#[test]
fn slopes_by_the_error_function() {
    let x = Tensor::from_fn([120_004], |i| (i as f32 - 60_002.0) / 8000.0);
    let dy = Tensor::from_fn(x.shape, |_| 1.0);
    type Slope = (Rc<dyn Op>, fn(f64) -> f64);
    let slopes: [Slope; 2] = [
        (rule_of(&[x.shape], |x| x[0].gelu()), |x| {
            libm::erfc(-x / 2f64.sqrt()) / 2.0 + x * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
        }),
        (rule_of(&[x.shape], |x| x[0].quick_gelu()), |x| {
            let share = 1.0 / (1.0 + (-1.702 * x).exp());
            share + 1.702 * x * share * (1.0 - share)
        }),
    ];
    if without_device("slopes on a device") {
        return;
    }
    for (op, slope) in slopes {
        for (i, label) in labels(gpu(), &*op, &[x.shape; 2]).unwrap().iter().enumerate() {
            let got = probe(gpu(), &op, i, &[&x, &dy], false).unwrap().output;
            let off = |(g, x): (&f32, &f32)| (f64::from(*g) - slope(f64::from(*x))).abs();
            let most = got.data.iter().zip(&x.data).map(off).fold(0.0, f64::max);
            println!("{op:?} {label}: off by {most:.1e}");
            assert!(most <= 1e-6, "{op:?} {label}: off by {most:.1e}");
        }
    }
}

#[test]
fn rows_of_length_one() {
    let file = Vectors::open("ops.safetensors");
    let given = ["l2.x", "l2.dy"].map(|name| file.get(name));
    agree(&given, &[("l2.dx", file.get("l2.dx"))], within, |x| {
        back(&x[..1], x[0].normalised(), x[1]).into_iter().flatten().collect()
    });
}

#[test]
fn cross_entropy() {
    let file = Vectors::open("ops.safetensors");
    let (logits, labels) = (file.get("sm.logits"), file.get("sm.target"));
    let each = [("sm.ce_each", file.get("sm.ce_each"))];
    agree(&[logits.clone(), labels.clone()], &each, within, |x| vec![x[0].cross_entropy(x[1])]);
    let rows = [0, 1, 4, 5];
    let of = |t: &Tensor, c: usize| rows.map(|r| t.data[r * c..(r + 1) * c].to_vec()).concat();
    let given = [Tensor::new([4, 5], of(&logits, 5)), Tensor::new([4], of(&labels, 1)), Tensor::from_fn([4], |_| 0.25)];
    let want = ["sm.ce_mean_rows0145", "sm.dlogits_rows0145"].map(|name| (name, file.get(name)));
    agree(&given, &want, within, |x| {
        let y = x[0].cross_entropy(x[1]);
        vec![y.mean(), back(&x[..2], y, x[2])[0].unwrap()]
    });
}

/// Logits that are no numbers, and labels that are none, through every candidate.
#[test]
fn cross_entropy_of_infinities() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let rows =
        [[-inf, 2.0, 2.0], [-inf, 2.0, 2.0], [inf, 0.0, 1.0], [0.0, nan, 0.0], [0.0; 3], [0.0; 3], [0.0; 3], [-inf; 3]];
    let (x, labels_) =
        (Tensor::new([8, 3], rows.concat()), Tensor::new([8], vec![1.0, 0.0, 1.0, 0.0, 3.0, -1.0, 0.5, 0.0]));
    let two = 2f32.ln();
    let want =
        [vec![two, inf, nan, nan, nan, nan, nan, nan], [vec![0.0, -0.5, 0.5, -1.0, 0.5, 0.5], vec![nan; 18]].concat()];
    let dy = Tensor::from_fn([8], |_| 1.0);
    let graph = Graph::new();
    let y = graph.input("x", x.shape).cross_entropy(graph.input("labels", labels_.shape));
    let Source::Op(forward) = &graph.nodes().unwrap()[y.id()].source else { panic!("no op gives it") };
    let ops = [forward.clone(), rule_of(&[x.shape, labels_.shape], |x| x[0].cross_entropy(x[1]))];
    for ((op, want), given) in ops.iter().zip(&want).zip([vec![&x, &labels_], vec![&x, &labels_, &dy]]) {
        let same = |got: &Tensor, what: &str| {
            let same = |(g, w): (&f32, &f32)| (g - w).abs() <= 1e-6 || g == w || g.is_nan() && w.is_nan();
            assert!(got.data.iter().zip(want).all(same), "{what}: {:?}", got.data);
        };
        let shapes: Vec<Shape> = given.iter().map(|t| t.shape).collect();
        same(&op.reference(&given, op.infer(&shapes).unwrap()), "reference");
        if without_device("infinities on a device") {
            return;
        }
        for (i, label) in labels(gpu(), &**op, &shapes).unwrap().iter().enumerate() {
            same(&probe(gpu(), op, i, &given, false).unwrap().output, label);
        }
    }
}

/// Projections, attention and projection, back: the products are written out, as their own rules are not what is asked for.
#[test]
fn attention() {
    let file = Vectors::open("attention.safetensors");
    for case in ["normal", "large_logits"] {
        let given = ["x", "wqkv", "bqkv", "wo", "bo", "dy"].map(|name| file.get(&format!("{case}.{name}")));
        let names = ["dx", "dwqkv", "dbqkv", "dwo", "dbo"].map(|name| format!("{case}.{name}"));
        let want = names.each_ref().map(|name| (name.as_str(), file.get(name)));
        agree(&given, &want, near, |x| {
            let &[x, wqkv, bqkv, wo, _, dy] = x else { panic!("six are given") };
            let rows = |v: Var<'_>| v.shape().rows().0;
            let flat = |v| reshaped(v, [rows(v), v.shape().last()]);
            let tokens = x.matmul_t(wqkv) + bqkv;
            let y = tokens.attention(4);
            let dtokens = back(&[tokens], y, dy.matmul(wo))[0].unwrap();
            vec![
                dtokens.matmul(wqkv),
                flat(dtokens).t_matmul(flat(x)),
                flat(dtokens).transpose().sum(),
                flat(dy).t_matmul(flat(y)),
                flat(dy).transpose().sum(),
            ]
        });
    }
}

fn reshaped(v: Var<'_>, to: [usize; 2]) -> Var<'_> {
    v.reshape(to)
}

#[test]
fn diffaugment() {
    let file = Vectors::open("diffaug.safetensors");
    let get = |name: &str| file.get(&format!("rand.{name}")).data;
    let x = nhwc(&file.get("x"));
    let mut draws = Draws { flip: get("flip") == [1.0], pictures: vec![Draw::NONE; 3] };
    let mut hold = |name: &str, change: &dyn Fn(&mut Draw, usize)| {
        draws.pictures.iter_mut().enumerate().for_each(|(i, draw)| change(draw, i));
        within(name, &draws.applied(&x).unwrap(), &nhwc(&file.get(&format!("after_{name}"))));
    };
    hold("hflip", &|_, _| {});
    hold("brightness", &|draw, i| draw.brightness = get("u_b")[i]);
    hold("saturation", &|draw, i| draw.saturation = get("u_s")[i]);
    hold("contrast", &|draw, i| draw.contrast = get("u_c")[i]);
    hold("translation", &|draw, i| draw.shift = [get("ty")[i] as i64, get("tx")[i] as i64]);
    let [down, right] = ["cutout.offset_y", "cutout.offset_x"].map(|name| file.get(name).data);
    let cut = |i: usize| Draw { cut: Some([down[i] as usize, right[i] as usize]), ..Draw::NONE };
    let draws = Draws { flip: false, pictures: (0..3).map(cut).collect() };
    within("cutout", &draws.applied(&x).unwrap(), &nhwc(&file.get("cutout.y")));
}
