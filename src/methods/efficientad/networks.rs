//! Teacher, student and autoencoder together, with their weights under one roof: `teacher.*`, `student.*`, `ae.*`.

use super::statistics::Statistics;
use crate::engine::{Graph, Named, Problem, Scope, Var};
use crate::error::Result;
use crate::models::autoencoder::Autoencoder;
use crate::models::initial;
use crate::models::pdn::{Pdn, Size};
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// Where the weights of the teacher are, its outputs brought to one scale.
pub const TEACHER: &str = "teacher";

/// Where the weights of the teacher are as its file has them.
pub const UNSCALED: &str = "unscaled";

/// Where the weights of the student are.
pub const STUDENT: &str = "student";

/// Where the weights of the autoencoder are.
pub const AUTOENCODER: &str = "ae";

/// The three networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Networks {
    /// The teacher.
    pub teacher: Pdn,
    /// The autoencoder.
    pub autoencoder: Autoencoder,
}

/// What the networks say of pictures.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'g> {
    /// What the teacher says `[n, h, w, c]`, each channel brought to mean 0 and deviation 1 over good pictures.
    pub taught: Var<'g>,
    /// The mean squared difference between teacher and student `[n, h, w]`.
    pub student: Var<'g>,
    /// That between autoencoder and student.
    pub autoencoder: Var<'g>,
}

/// The input of the networks, for what depends on shapes alone.
const ANY_SIZE: [usize; 4] = [1, 256, 256, 3];

impl Networks {
    /// Those of a size, with widths divided, padded or not.
    pub fn of(size: Size, narrow: usize, padded: bool) -> Networks {
        let teacher = Pdn { padded, ..size.pdn().narrow(narrow) };
        let autoencoder = Autoencoder { padded, ..crate::models::autoencoder::AUTOENCODER.narrow(narrow) };
        Networks { teacher, autoencoder }
    }

    /// The student: half of its outputs is to say what the teacher says, half what the autoencoder says.
    pub fn student(&self) -> Pdn {
        self.teacher.with_outputs(2 * self.teacher.outputs)
    }

    /// Channels of what the teacher says.
    pub fn channels(&self) -> usize {
        self.teacher.outputs
    }

    /// Shape of what the teacher says of pictures of this shape.
    pub fn map_of(&self, pictures: impl Into<Shape>) -> Shape {
        let (graph, none) = (Graph::new(), Named::new());
        self.teacher.map(graph.input("pictures", pictures), &Scope::new(&graph, &none)).shape()
    }

    /// The maps of pictures `[n, h, w, 3]`, preprocessed.
    pub fn maps<'g>(&self, pictures: Var<'g>, p: &Scope<'g, '_>) -> Maps<'g> {
        let (c, student) = (self.channels(), p.at(STUDENT));
        let taught = self.teacher.map(pictures, &p.at(TEACHER));
        let trunk = self.student().trunk(pictures, &student);
        let [first, second] = [0..c, c..2 * c].map(|rows| self.student().head(trunk, &student, rows));
        let whole = self.autoencoder.map(pictures, &p.at(AUTOENCODER), &|_, y| y);
        Maps { taught, student: (taught - first).square().mean(), autoencoder: (whole - second).square().mean() }
    }

    /// Whether `named` are the weights of all three.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) with everything missing, misshapen or foreign; `origin` is what messages call them.
    pub fn check(&self, named: &Named, origin: &str) -> Result<()> {
        let graph = Graph::new();
        self.maps(graph.input("picture", ANY_SIZE), &Scope::new(&graph, named));
        graph.nodes()?;
        graph.requested().check(origin, named, &[])
    }

    /// Names and shapes of the weights of student and autoencoder.
    pub fn trained(&self) -> Vec<(String, Shape)> {
        let (graph, none) = (Graph::new(), Named::new());
        let (p, x) = (Scope::new(&graph, &none), graph.input("picture", ANY_SIZE));
        self.student().map(x, &p.at(STUDENT));
        self.autoencoder.map(x, &p.at(AUTOENCODER), &|_, y| y);
        asked(&graph)
    }

    /// The weights that a training begins with, uniform in ±1/√(fan in), biases too, as PyTorch has them by default; drawn from seed, name
    /// and place.
    pub fn initial(&self, seed: u64) -> Named {
        initial(&self.trained(), &stream(seed))
    }

    /// The same of a PDN by itself, `conv1.weight`, ….
    pub fn initial_of(pdn: Pdn, seed: u64) -> Named {
        let (graph, none) = (Graph::new(), Named::new());
        pdn.map(graph.input("picture", ANY_SIZE), &Scope::new(&graph, &none));
        initial(&asked(&graph), &stream(seed))
    }

    /// The teacher's weights by [`TEACHER`], with `(y - mean) / deviation` of each channel folded into its last layer, in f64.
    pub fn normalised(&self, teacher: &Named, statistics: &Statistics) -> Named {
        let last = self.teacher.last();
        let row = |i: usize, n: usize, c: &[f64]| c.get(i / n.max(1)).copied().unwrap_or(f64::NAN);
        let fold = |(name, t): (&String, &Arc<Tensor>)| {
            let (n, part) = (t.data.len() / t.shape.dim(0).max(1), name.strip_prefix(last));
            let value = |(i, v): (usize, &f32)| {
                let mean = if part == Some(".bias") { row(i, n, &statistics.mean) } else { 0.0 };
                ((f64::from(*v) - mean) / row(i, n, &statistics.std)) as f32
            };
            let folded = match part {
                Some(".weight" | ".bias") => {
                    Arc::new(Tensor::new(t.shape, t.data.iter().enumerate().map(value).collect()))
                }
                _ => t.clone(),
            };
            (format!("{TEACHER}.{name}"), folded)
        };
        teacher.iter().map(fold).collect()
    }
}

/// The stream that weights to begin a training with are drawn from.
fn stream(seed: u64) -> String {
    format!("efficientad.initial.{seed}")
}

/// The weights that a graph asked for without having any.
fn asked(graph: &Graph) -> Vec<(String, Shape)> {
    let one = |p: Problem| match p {
        Problem::Missing { name, wanted } => Some((name, wanted)),
        _ => None,
    };
    graph.requested().problems(&Named::new(), &[]).into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_all_three() {
        let networks = Networks::of(Size::Small, 8, false);
        let initial = networks.initial(0);
        assert!(initial.keys().all(|k| k.starts_with("student.") || k.starts_with("ae.")));
        assert_eq!(initial["student.conv4.weight"].shape, Shape::from([96, 32, 4, 4]));
        let (weight, bias) = (&initial["student.conv1.weight"], &initial["student.conv1.bias"]);
        let most = |t: &Tensor| t.data.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(most(weight) <= 48f32.powf(-0.5) && most(weight) > 0.14, "{}", most(weight));
        assert!(most(bias) <= 48f32.powf(-0.5) && most(bias) > 0.1, "{}", most(bias));
        assert_ne!(networks.initial(1)["student.conv1.bias"], *bias);
        let missing = networks.check(&initial, "m").unwrap_err().to_string();
        assert!(missing.contains("teacher.conv1.weight [16,3,4,4] is missing"), "{missing}");
        let mut all = initial;
        let none = Named::new();
        let graph = Graph::new();
        networks.teacher.map(graph.input("x", ANY_SIZE), &Scope::new(&graph, &none));
        for problem in graph.requested().problems(&none, &[]) {
            let Problem::Missing { name, wanted } = problem else { panic!("{problem}") };
            all.insert(format!("teacher.{name}"), Arc::new(Tensor::zeros(wanted)));
        }
        networks.check(&all, "m").unwrap();
    }

    #[test]
    fn statistics_are_folded_into_the_last_layer() {
        let networks =
            Networks { teacher: Pdn { outputs: 2, ..Size::Small.pdn() }, ..Networks::of(Size::Small, 1, false) };
        let t = |shape: &[usize], data: &[f32]| Arc::new(Tensor::new(shape, data.to_vec()));
        let teacher = Named::from([
            ("conv1.bias".to_string(), t(&[2], &[5.0, 6.0])),
            ("conv4.weight".to_string(), t(&[2, 1, 1, 2], &[1.0, 2.0, 3.0, 4.0])),
            ("conv4.bias".to_string(), t(&[2], &[1.0, 7.0])),
        ]);
        let folded = networks.normalised(&teacher, &Statistics { mean: vec![1.0, 3.0], std: vec![2.0, 4.0] });
        assert_eq!(folded["teacher.conv1.bias"].data, [5.0, 6.0]);
        assert_eq!(folded["teacher.conv4.weight"].data, [0.5, 1.0, 0.75, 1.0]);
        assert_eq!(folded["teacher.conv4.bias"].data, [0.0, 1.0]);
    }
}
