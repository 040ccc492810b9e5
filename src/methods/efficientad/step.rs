//! One step of the training, forwards: the losses of student and autoencoder.

use super::networks::{AUTOENCODER, Networks, STUDENT, TEACHER, UNSCALED};
use super::statistics::Statistics;
use crate::engine::{Scope, Var};

/// The share of the squared differences of a picture that its hard loss leaves out: only the largest count.
pub const HARD: f64 = 0.999;

/// What is drawn to zero after layer `i` of the decoder, as [`Autoencoder::map`](crate::models::autoencoder::Autoencoder::map) asks.
pub type Drop<'d, 'g> = dyn Fn(usize, Var<'g>) -> Var<'g> + 'd;

/// From squared differences `[n, values]`, a row for each picture, to the hard loss of each, `[n]`: the mean of those that are at least the
/// [`HARD`]-quantile of their row.
pub type HardLoss<'h, 'g> = dyn Fn(Var<'g>) -> Var<'g> + 'h;

/// A step on so many pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The networks.
    pub networks: Networks,
    /// Good pictures.
    pub batch: usize,
    /// Whether there is a picture of anything else for each of them.
    pub penalty: bool,
}

/// The losses of a step, one element each.
#[derive(Clone, Copy, Debug)]
pub struct Losses<'g> {
    /// Teacher against student on good pictures, where they differ most.
    pub hard: Var<'g>,
    /// What the student says of anything else, where there is any.
    pub penalty: Option<Var<'g>>,
    /// Teacher against autoencoder on changed pictures.
    pub autoencoder: Var<'g>,
    /// Autoencoder against student on changed pictures; both are trained by it.
    pub student: Var<'g>,
    /// The sum of all.
    pub total: Var<'g>,
}

impl Step {
    /// Pictures of each kind.
    fn kinds(&self) -> usize {
        if self.penalty { 3 } else { 2 }
    }

    /// Pictures that a step looks at: those of anything else first, where there are any, then the good ones as they are, then the good
    /// ones changed. So what each network sees lies together.
    pub fn pictures(&self) -> usize {
        self.kinds() * self.batch
    }

    /// The good pictures among `pictures` `[n, h, w, 3]`, as they are and changed.
    fn good<'g>(&self, pictures: Var<'g>) -> [Var<'g>; 2] {
        let (n, b) = (self.pictures(), self.batch);
        [n - 2 * b, n - b].map(|from| pictures.slice(0, from, from + b))
    }

    /// What the teacher says of the good pictures among `pictures` `[n, h, w, 3]`, as they are and changed: no gradient is asked for here.
    pub fn taught<'g>(&self, pictures: Var<'g>, p: &Scope<'g, '_>) -> [Var<'g>; 2] {
        let (n, b) = (self.pictures(), self.batch);
        let both = self.networks.teacher.map(pictures.slice(0, n - 2 * b, n), &p.at(TEACHER));
        [0, b].map(|from| both.slice(0, from, from + b))
    }

    /// The same where `known` is what the teacher says of the pictures as they are, its outputs not brought to one scale; without it the
    /// teacher is asked, by weights whose outputs are not scaled. Both give the same bits.
    pub fn taught_by<'g>(
        &self,
        pictures: Var<'g>,
        (known, statistics): (Option<Var<'g>>, &Statistics),
        p: &Scope<'g, '_>,
    ) -> [Var<'g>; 2] {
        let [plain, changed] = self.good(pictures);
        let said = known.unwrap_or_else(|| self.networks.teacher.map(plain, &p.at(UNSCALED)));
        [statistics.scaled(said), self.networks.teacher.map(changed, &p.at(TEACHER))]
    }

    /// The losses of `pictures` `[n, h, w, 3]`, in the order of [`Step::pictures`], where the teacher says `taught` of the good ones as they
    /// are and changed.
    pub fn losses<'g>(
        &self,
        (pictures, [plain, changed]): (Var<'g>, [Var<'g>; 2]),
        p: &Scope<'g, '_>,
        drop: &Drop<'_, 'g>,
        hard: &HardLoss<'_, 'g>,
    ) -> Losses<'g> {
        let (n, b, c) = (self.pictures(), self.batch, self.networks.channels());
        let (student, at) = (self.networks.student(), p.at(STUDENT));
        let trunk = student.trunk(pictures, &at);
        let said = student.head(trunk.slice(0, 0, n - b), &at, 0..c);
        let said_of_whole = student.head(trunk.slice(0, n - b, n), &at, c..2 * c);
        let whole = self.networks.autoencoder.map(pictures.slice(0, n - b, n), &p.at(AUTOENCODER), drop);
        let penalty = self.penalty.then(|| mean(said.slice(0, 0, b).square()));
        let said = [said.slice(0, n - 2 * b, n - b), said_of_whole];
        Losses::between([plain, changed], said, whole, (penalty, hard))
    }
}

impl Networks {
    /// The losses of good pictures `[n, h, w, 3]` as they are, by networks of which nothing is dropped: what is held out is judged by.
    pub fn held_out<'g>(&self, pictures: Var<'g>, p: &Scope<'g, '_>, hard: &HardLoss<'_, 'g>) -> Losses<'g> {
        let (c, at) = (self.channels(), p.at(STUDENT));
        let taught = self.teacher.map(pictures, &p.at(TEACHER));
        let trunk = self.student().trunk(pictures, &at);
        let said = [0..c, c..2 * c].map(|rows| self.student().head(trunk, &at, rows));
        let whole = self.autoencoder.map(pictures, &p.at(AUTOENCODER), &|_, y| y);
        Losses::between([taught; 2], said, whole, (None, hard))
    }
}

impl<'g> Losses<'g> {
    /// Those between what the teacher says of good pictures as they are and changed, what the student says of them, its first half and its
    /// second, and what the autoencoder says of the changed ones.
    fn between(
        [plain, changed]: [Var<'g>; 2],
        [first, second]: [Var<'g>; 2],
        whole: Var<'g>,
        (penalty, hard): (Option<Var<'g>>, &HardLoss<'_, 'g>),
    ) -> Losses<'g> {
        let (apart, b) = ((plain - first).square(), plain.dim(0));
        let hard = mean(hard(apart.reshape([b, apart.shape().len() / b])));
        let autoencoder = mean((changed - whole).square());
        let student = mean((whole - second).square());
        let known = penalty.map_or(hard, |p| hard + p);
        Losses { hard, penalty, autoencoder, student, total: known + autoencoder + student }
    }
}

/// The mean of all elements, `[1]`: of rows first, then of these, so that many workgroups share the work.
fn mean(v: Var<'_>) -> Var<'_> {
    let (rows, _) = v.shape().rows();
    match v.shape().rank() {
        0 | 1 => v.reshape([1, v.shape().len()]).mean(),
        _ => v.mean().reshape([1, rows]).mean(),
    }
}
