//! Random graphs that end in a loss, of ops with gradient rules; whoever gives an op a rule adds a line to [`STEPS`].

use lupe::engine::{Graph, Var, gradients};
use lupe::ops::Pad;
use lupe::random;
use lupe::tensor::{Shape, Tensor};
use proptest::prelude::*;
use std::cell::RefCell;
use std::sync::Arc;

/// How to make a graph: steps that name what they work on by numbers, taken modulo what there is.
#[derive(Clone, Debug)]
pub struct Recipe {
    picture: [usize; 4],
    steps: Vec<[usize; 4]>,
    ends: usize,
    /// Whether gradients are taken by all (0), inputs (1), weights (2) or one of them (3), modulo 4.
    pub wrt: usize,
}

/// Recipes of up to ten steps.
pub fn recipes() -> impl Strategy<Value = Recipe> {
    let picture = [1..3usize, 1..7, 1..7, 1..10];
    let steps = prop::collection::vec([0..10_000usize, 0..64, 0..64, 0..64], 1..11);
    (picture, steps, 0..64usize, 0..64usize).prop_map(|(picture, steps, ends, wrt)| Recipe {
        picture,
        steps,
        ends,
        wrt,
    })
}

/// What a step works on.
#[derive(Clone, Copy)]
pub enum On {
    /// Anything.
    Any,
    /// A picture `[n, h, w, c]`.
    Picture,
    /// A matrix.
    Matrix,
}

/// Makes a value of another one and two numbers.
pub type Step = for<'a, 'g> fn(&Maker<'a, 'g>, Var<'g>, [usize; 2]) -> Var<'g>;

/// Every step that a graph may have. Each is of one op that may lack a rule, and keeps numbers near one.
pub const STEPS: &[(&str, On, Step)] = &[
    ("add", On::Any, |m, x, [a, _]| x + m.second(x, a)),
    ("sub", On::Any, |m, x, [a, _]| m.second(x, 0) - x + m.second(x, a)),
    ("mul", On::Any, |m, x, [a, _]| x * m.second(x, a)),
    ("div", On::Any, |m, x, [a, _]| x / m.second(x, a).square().affine(1.0, 1.0)),
    ("maximum", On::Any, |m, x, [a, _]| x.maximum(m.second(x, a))),
    ("negated", On::Any, |_, x, _| x.negated()),
    ("abs", On::Any, |_, x, _| x.abs()),
    ("exp", On::Any, |_, x, _| x.affine(0.25, 0.0).exp()),
    ("sqrt", On::Any, |_, x, _| x.square().affine(1.0, 0.5).sqrt()),
    ("square", On::Any, |_, x, _| x.affine(0.5, 0.1).square()),
    ("concat", On::Any, |m, x, [a, b]| {
        m.small(x, |x| x.concat(m.second(x, 0), axis(x, a)).slice(axis(x, a), 0, 1 + b % x.dim(axis(x, a))))
    }),
    ("slice", On::Any, |_, x, [a, b]| x.slice(axis(x, a), b % x.dim(axis(x, a)), x.dim(axis(x, a)))),
    ("pad", On::Any, |m, x, [a, b]| m.small(x, |x| x.pad(axis(x, a), b % 3, b / 3 % 3))),
    ("permute", On::Picture, |_, x, [a, _]| x.permute([&[0, 2, 1, 3], &[0, 3, 1, 2], &[2, 3, 0, 1]][a % 3])),
    ("reshape", On::Any, |_, x, _| x.reshape(<[usize; 2]>::from(x.shape().rows()))),
    ("sum", On::Any, |_, x, _| x - x.sum().affine(0.25, 0.0).spread_columns(x.shape())),
    (
        "mean",
        On::Any,
        |_, x, [a, _]| if a % 2 == 0 { x - x.mean().spread_columns(x.shape()) } else { flat(x) * flat(x).mean() },
    ),
    ("norm", On::Any, |_, x, _| x / x.square().affine(1.0, 0.1).norm().spread_columns(x.shape())),
    ("columns", On::Any, |_, x, _| x - x.column_sums().affine(0.1, 0.0)),
    ("batch_norm", On::Any, |m, x, _| {
        let vector = |name| m.weight(name, &[x.shape().last()]);
        x.batch_norm(
            vector("weight"),
            vector("bias"),
            m.constant(&[x.shape().last()]),
            m.constant(&[x.shape().last()]).square(),
            1.0,
        )
    }),
    ("max_pool", On::Picture, |_, x, [a, b]| x.max_pool(window(x, a), 1 + b % 3, pad(x, a, b))),
    ("avg_pool", On::Picture, |_, x, [a, b]| x.avg_pool(window(x, a), 1 + b % 3, pad(x, a, b), b % 2 == 0)),
    ("global_pool", On::Picture, |_, x, _| x.global_pool()),
    ("bilinear", On::Picture, |_, x, [a, b]| x.resize_bilinear(1 + a % 9, 1 + b % 11)),
    ("nearest", On::Picture, |_, x, [a, b]| x.resize_nearest(1 + a % 9, 1 + b % 11)),
    ("dropout", On::Any, |m, x, [a, b]| x.dropout_of([0.1, 0.5][a % 2], m.seed, b as u32)),
    ("hard_mean", On::Any, |_, x, [a, _]| {
        let rows = x.reshape(<[usize; 2]>::from(x.shape().rows()));
        rows * rows.hard_mean(rows.quantile([0.5, 0.9][a % 2])).reshape([rows.dim(0), 1])
    }),
    ("relu", On::Any, |_, x, _| x.relu()),
    ("relu6", On::Any, |_, x, _| x.affine(4.0, 0.0).relu6().affine(0.25, 0.0)),
    ("gelu", On::Any, |_, x, _| x.gelu()),
    ("quick_gelu", On::Any, |_, x, _| x.quick_gelu()),
    ("softmax", On::Any, |_, x, _| x.softmax()),
    ("normalised", On::Any, |_, x, _| x.affine(1.0, 0.1).normalised()),
    ("layer_norm", On::Any, |m, x, _| {
        let vector = |name| m.weight(name, &[x.shape().last()]);
        x.layer_norm(vector("weight"), vector("bias"), 0.1)
    }),
    ("matmul", On::Matrix, |m, x, [a, _]| x.matmul(m.weight("weight", &[x.dim(1), [4, 5, 12][a % 3]]))),
    ("matmul_t", On::Matrix, |m, x, [a, _]| x.matmul_t(m.weight("weight", &[[4, 5, 12][a % 3], x.dim(1)]))),
    ("t_matmul", On::Matrix, |m, x, [a, _]| x.t_matmul(m.weight("weight", &[x.dim(0), [4, 5, 12][a % 3]]))),
    ("attention", On::Matrix, |m, x, _| {
        x.matmul(m.weight("weight", &[x.dim(1), 24])).reshape([1, x.dim(0), 24]).attention(2).reshape([x.dim(0), 8])
    }),
    ("conv2d", On::Picture, |m, x, [a, b]| {
        let weight = m.weight("weight", &[[4, 3, 8][b % 3], x.dim(3), window(x, a), window(x, a)]);
        x.conv2d(weight, 1 + b / 3 % 2, a % window(x, a))
    }),
];

fn axis(x: Var, a: usize) -> usize {
    a % x.shape().rank()
}

fn flat(x: Var<'_>) -> Var<'_> {
    x.reshape([1, x.shape().len()])
}

fn window(x: Var, a: usize) -> usize {
    (1 + a % 3).min(x.dim(1)).min(x.dim(2))
}

fn pad(x: Var, a: usize, b: usize) -> Pad {
    let k = window(x, a);
    Pad { top: b % k, left: b / 2 % k, bottom: b / 4 % k, right: 0 }
}

/// Numbers in [-1, 1) without a pattern.
fn noise(shape: impl Into<Shape>, stream: u64) -> Tensor {
    let draw = |i: usize| random::at(stream, i as u64) >> 40;
    Tensor::from_fn(shape, |i| draw(i) as f32 / (1u64 << 23) as f32 - 1.0)
}

/// Makes the steps of a graph.
pub struct Maker<'a, 'g> {
    graph: &'g Graph,
    vars: &'a [Var<'g>],
    weights: &'a RefCell<Vec<Var<'g>>>,
    directions: &'a RefCell<Vec<Tensor>>,
    seed: Var<'g>,
    number: usize,
    moved: f64,
}

impl<'g> Maker<'_, 'g> {
    /// A weight that gradients are taken by: a state as often as not.
    fn weight(&self, name: &str, shape: &[usize]) -> Var<'g> {
        let stream = 1000 + 10 * self.number as u64 + name.len() as u64;
        let (mut tensor, direction) = (noise(shape, stream), noise(shape, stream + 500));
        let terms = shape.iter().skip(1).product::<usize>().max(1) as f32;
        tensor.data.iter_mut().for_each(|v| *v *= 2.0 / terms.sqrt());
        shift(&mut tensor, &direction, self.moved);
        let (name, tensor) = (format!("w{}.{name}{}", self.number, self.weights.borrow().len()), Arc::new(tensor));
        let var = if self.number.is_multiple_of(2) {
            self.graph.state(&name, &tensor)
        } else {
            self.graph.weight(&name, tensor)
        };
        self.weights.borrow_mut().push(var);
        self.directions.borrow_mut().push(direction);
        var
    }

    /// A weight that no gradient is taken by.
    fn constant(&self, shape: &[usize]) -> Var<'g> {
        let number = self.graph.nodes().map_or(0, |nodes| nodes.len());
        self.graph.weight(&format!("constant{number}"), Arc::new(noise(shape, 2000 + number as u64)))
    }

    /// A second operand for `x`: another value or a weight of its shape, a row, a column, one element.
    fn second(&self, x: Var<'g>, which: usize) -> Var<'g> {
        let shape = x.shape();
        let like = || self.vars.iter().rev().copied().find(|v| v.shape() == shape && v.id() != x.id());
        match which % 5 {
            0 => like().unwrap_or_else(|| self.weight("like", shape.dims())),
            1 => self.weight("same", shape.dims()),
            2 => self.weight("row", &[shape.last()]),
            3 => self.weight("column", &[&shape.dims()[..shape.rank() - 1], &[1]].concat()),
            _ => self.weight("one", &[1]),
        }
    }

    /// What `grow` makes of it, where it is small enough to grow.
    fn small(&self, x: Var<'g>, grow: impl Fn(Var<'g>) -> Var<'g>) -> Var<'g> {
        if x.shape().len() < 2000 { grow(x) } else { x.negated() }
    }

    /// A value that the step works on; the latest as likely as all others together.
    fn choose(&self, on: On, which: usize) -> Option<Var<'g>> {
        let fits = |v: &Var<'g>| match on {
            On::Any => v.shape().rank() > 0,
            On::Picture => v.shape().rank() == 4,
            On::Matrix => v.shape().rank() == 2,
        };
        let fitting: Vec<Var> = self.vars.iter().copied().filter(fits).collect();
        let last = fitting.last().copied();
        if which.is_multiple_of(2) { last } else { fitting.get(which / 2 % fitting.len().max(1)).copied() }
    }
}

fn shift(tensor: &mut Tensor, direction: &Tensor, by: f64) {
    tensor.data.iter_mut().zip(&direction.data).for_each(|(v, d)| *v = (f64::from(*v) + by * f64::from(*d)) as f32);
}

/// A graph that ends in a loss.
pub struct Built<'g> {
    /// What is given at a run.
    pub given: Vec<Tensor>,
    /// The loss, one element.
    pub loss: Var<'g>,
    /// Ways in which inputs and then weights are moved.
    pub directions: Vec<Tensor>,
    /// The steps that it is made of.
    pub names: Vec<&'static str>,
    inputs: Vec<Var<'g>>,
    weights: Vec<Var<'g>>,
}

impl<'g> Built<'g> {
    /// What gradients are taken by.
    pub fn wrt(&self, which: usize) -> Vec<Var<'g>> {
        let all = [&self.inputs[..], &self.weights].concat();
        match which % 4 {
            1 => self.inputs.clone(),
            2 if !self.weights.is_empty() => self.weights.clone(),
            3 => vec![all[which / 4 % all.len()]],
            _ => all,
        }
    }
}

/// The graph of a recipe out of the steps of these numbers; inputs and weights are moved by so much along their directions.
pub fn built<'g>(graph: &'g Graph, recipe: &Recipe, steps: &[usize], moved: f64) -> Built<'g> {
    let [n, h, w, c] = recipe.picture;
    let shapes = [Shape::from(recipe.picture), Shape::from([n * h, w * c])];
    let mut given = vec![noise(shapes[0], 1), noise(shapes[1], 2)];
    let directions = RefCell::new(vec![noise(shapes[0], 3), noise(shapes[1], 4)]);
    given.iter_mut().zip(directions.borrow().iter()).for_each(|(t, d)| shift(t, d, moved));
    given.push(Tensor::new([2], [7, recipe.ends as u32].map(f32::from_bits).to_vec()));
    let inputs = vec![graph.input("picture", shapes[0]), graph.input("matrix", shapes[1])];
    let (seed, weights) = (graph.input("seed", [2]), RefCell::new(vec![]));
    let (mut vars, mut names) = (inputs.clone(), vec![]);
    for (number, &[kind, which, a, b]) in recipe.steps.iter().enumerate() {
        let (name, on, step) = STEPS[steps[kind % steps.len()]];
        let (weights, directions) = (&weights, &directions);
        let maker = Maker { graph, vars: &vars, weights, directions, seed, number, moved };
        if let Some(x) = maker.choose(on, which) {
            let made = step(&maker, x, [a, b]);
            vars.push(made);
            names.push(name);
        }
    }
    let ends = [vars[vars.len() - 1], vars[(recipe.ends / 8) % vars.len()]];
    let end = |(k, v): (usize, &Var<'g>)| {
        let flat = v.reshape([v.shape().len()]);
        let toward = graph.weight(&format!("toward{k}"), Arc::new(noise(flat.shape(), 5 + k as u64)));
        match recipe.ends >> k & 1 {
            0 => (flat * toward).sum().reshape([1]),
            _ => (flat - toward).square().mean().reshape([1]),
        }
    };
    let loss = ends.iter().enumerate().map(end).reduce(|a, b| a + b).expect("two ends");
    let (directions, weights) = (directions.into_inner(), weights.into_inner());
    Built { given, loss, directions, names, inputs, weights }
}

/// Numbers of the steps whose ops all have rules.
pub fn ruled() -> Vec<usize> {
    let has = |k: &usize| {
        let graph = Graph::new();
        let recipe = Recipe { picture: [1, 3, 3, 2], steps: vec![[0, 0, 0, 0], [0, 0, 1, 1]], ends: 0, wrt: 0 };
        let built = built(&graph, &recipe, &[*k], 0.0);
        gradients(built.loss, &built.wrt(0));
        match graph.nodes() {
            Ok(_) => true,
            Err(e) if e.to_string().contains("there is no gradient of") => false,
            Err(e) => panic!("{}: {e}", STEPS[*k].0),
        }
    };
    (0..STEPS.len()).filter(has).collect()
}
