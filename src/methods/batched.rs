//! A function of pictures, planned once for batches of them: 8 bits go to the device as they are, two runs are in flight.

use crate::data::{Prepared, Preprocess};
use crate::engine::lower::{Lowered, Role, lower_by};
use crate::engine::{Choices, Gpu, Graph, Options, Plan, Run, Store, Var};
use crate::error::{Error, Result};
use crate::ops::pixels::packed;
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// How plans are made and how much they take at a time.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Pictures in one run at most.
    pub batch: usize,
    /// Bytes of device memory that may be used.
    pub limit_memory: Option<u64>,
    /// Which candidate a node gets.
    pub choices: Choices,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions { batch: 4, limit_memory: None, choices: Choices::First }
    }
}

impl RunOptions {
    /// What plans take of it.
    pub fn planning(&self) -> Options {
        Options { limit_memory: self.limit_memory, choices: self.choices.clone() }
    }
}

/// What is computed of pictures `[n, h, w, 3]`: outputs whose first axis is a multiple of n.
pub type Head<'h> = dyn for<'a> Fn(&'a Graph, Var<'a>) -> Vec<Var<'a>> + 'h;

/// Helps the compiler to see that a closure takes any graph.
pub fn head<'h>(head: impl for<'a> Fn(&'a Graph, Var<'a>) -> Vec<Var<'a>> + 'h) -> Box<Head<'h>> {
    Box::new(head)
}

/// How pictures get into a graph.
#[derive(Clone, Debug)]
pub struct Feed {
    size: [usize; 2],
    channels: [usize; 3],
    table: Arc<Tensor>,
}

/// In which form pictures go to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 8 bits, four in a word; numbers are made of them there.
    Bytes,
    /// Numbers.
    Numbers,
}

impl Feed {
    /// Of pictures of `size`, rows and columns, prepared by `preprocess`.
    pub fn new(preprocess: &Preprocess, size: [usize; 2]) -> Feed {
        Feed { size, channels: preprocess.channels(), table: Arc::new(preprocess.table()) }
    }

    /// The same for pictures of another size.
    fn of(&self, size: [usize; 2]) -> Feed {
        Feed { size, ..self.clone() }
    }

    /// The input of `n` pictures and what it becomes, `[n, h, w, 3]`.
    pub fn input<'g>(&self, graph: &'g Graph, n: usize, form: Form) -> Var<'g> {
        let [h, w] = self.size;
        match form {
            Form::Numbers => graph.input("picture", [n, h, w, 3]),
            Form::Bytes => {
                let table = graph.weight("picture.table", self.table.clone());
                graph.input("picture", [n, h, (3 * w).div_ceil(4)]).pixels(table, w, self.channels)
            }
        }
    }

    /// The input's value for these pictures and, behind them, black ones up to `n`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a picture of another size, or numbers where there is room for bytes.
    pub fn value(&self, pictures: &[&Prepared], n: usize, form: Form) -> Result<Tensor> {
        let [h, w] = self.size;
        if let Some(other) = pictures.iter().find(|p| p.size() != self.size) {
            let [y, x] = other.size();
            return Err(Error::Shape(format!("a picture is {y}x{x}, the plan is for {h}x{w}")));
        }
        let each = match form {
            Form::Bytes => Shape::from([n, h, (3 * w).div_ceil(4)]),
            Form::Numbers => Shape::from([n, h, w, 3]),
        };
        let mut data: Vec<f32> = Vec::with_capacity(each.len());
        for picture in pictures {
            match (picture, form) {
                (Prepared::Bytes { rgb, .. }, Form::Bytes) => data.extend(packed(rgb, w, h)),
                (Prepared::Bytes { rgb, .. }, Form::Numbers) => data.extend(self.numbers(rgb)),
                (Prepared::Numbers(tensor), Form::Numbers) => data.extend_from_slice(&tensor.data),
                (Prepared::Numbers(_), Form::Bytes) => {
                    return Err(Error::Shape("a picture of more than 8 bits does not go as bytes".into()));
                }
            }
        }
        data.resize(each.len(), 0.0); // a plan's batch is fixed; what is not there is black
        Ok(Tensor::new(each, data))
    }

    /// Bytes as the numbers that the device would make of them.
    fn numbers<'a>(&'a self, rgb: &'a [u8]) -> impl Iterator<Item = f32> + 'a {
        let number = move |pixel: &'a [u8]| {
            self.channels
                .into_iter()
                .enumerate()
                .map(move |(c, from)| self.table.data[256 * c + usize::from(pixel[from])])
        };
        rgb.chunks_exact(3).flat_map(number)
    }
}

/// A function of pictures, planned.
pub struct Batched<'b, 'g> {
    gpu: &'g Gpu,
    feed: Feed,
    options: RunOptions,
    head: Box<Head<'b>>,
    store: Store,
    plans: Vec<Planned<'g>>,
    batch: usize,
    any_size: bool,
}

/// A plan for pictures of a size and form.
struct Planned<'g> {
    kind: Kind,
    plan: Plan<'g>,
}

/// Rows and columns of pictures, and their form.
type Kind = ([usize; 2], Form);

/// Plans for pictures of other sizes that are kept: two may have runs in flight.
const OTHERS: usize = 4;

/// A batch under way.
#[derive(Debug)]
pub struct Under {
    run: Run,
    kind: Kind,
    batch: usize,
}

impl Under {
    /// Pictures that its outputs are of, those that were not there included.
    pub fn pictures(&self) -> usize {
        self.batch
    }
}

impl<'b, 'g> Batched<'b, 'g> {
    /// Plans `head` for pictures of `size`, rows and columns. Where the batch of `options` does not fit the device or would make it fall
    /// back to other kernels than one picture uses, it is halved: several runs then give the same numbers.
    ///
    /// # Errors
    /// As [`Plan::new`]: [`Error::Memory`] if not even one picture fits.
    pub async fn new(
        gpu: &'g Gpu,
        preprocess: &Preprocess,
        size: [usize; 2],
        options: &RunOptions,
        head: Box<Head<'b>>,
    ) -> Result<Batched<'b, 'g>> {
        let feed = Feed::new(preprocess, size);
        let (store, batch) = (Store::new(), options.batch.max(1));
        let (plans, any_size) = (vec![], preprocess.cut.is_some());
        let mut all = Batched { gpu, feed, options: options.clone(), head, store, plans, batch, any_size };
        let form = if preprocess.gives_bytes() { Form::Bytes } else { Form::Numbers };
        let one = all.kernels(1, form)?;
        while all.batch > 1 {
            if all.kernels(all.batch, form)? == one {
                match all.plan((size, form)).await {
                    Err(Error::Memory { .. }) => {}
                    done => return done.map(|()| all),
                }
            }
            all.batch /= 2;
        }
        all.plan((size, form)).await?;
        Ok(all)
    }

    fn outputs<'a>(&self, graph: &'a Graph, n: usize, (size, form): Kind) -> Vec<Var<'a>> {
        (self.head)(graph, self.feed.of(size).input(graph, n, form))
    }

    /// What computes the nodes. Sums that follow are left out: whether parts are split may depend on the batch, and changes no bit.
    fn kernels(&self, n: usize, form: Form) -> Result<Vec<&'static str>> {
        let graph = Graph::new();
        let outputs = self.outputs(&graph, n, (self.feed.size, form));
        let lowered: Lowered = lower_by(&graph, &outputs, &self.gpu.caps, &self.options.choices)?;
        Ok(lowered.steps.iter().filter(|s| s.role != Role::Sum).map(|s| s.kernel.shader.name).collect())
    }

    async fn plan(&mut self, kind: Kind) -> Result<()> {
        let graph = Graph::new();
        let outputs = self.outputs(&graph, self.most(kind.0), kind);
        let plan = Plan::new(self.gpu, &graph, &outputs, &self.store, self.options.planning()).await?;
        let other = |p: &Planned| p.kind.0 != self.feed.size;
        if self.plans.iter().filter(|p| other(p)).count() >= OTHERS {
            let oldest = self.plans.iter().position(other);
            oldest.map(|at| self.plans.remove(at));
        }
        self.plans.push(Planned { kind, plan });
        Ok(())
    }

    fn planned(&self, kind: Kind) -> Option<&Plan<'g>> {
        self.plans.iter().find(|p| p.kind == kind).map(|p| &p.plan)
    }

    /// Pictures in one run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Pictures of a size in one run: those of another size than it was planned for go one by one.
    pub fn most(&self, size: [usize; 2]) -> usize {
        if size == self.feed.size { self.batch } else { 1 }
    }

    /// Pictures in order, as many together as go into one run.
    pub fn chunks<'p>(&self, pictures: &'p [Prepared]) -> Vec<&'p [Prepared]> {
        let same = pictures.chunk_by(|a, b| a.size() == b.size());
        same.flat_map(|same| same.chunks(same.first().map_or(1, |p| self.most(p.size())))).collect()
    }

    /// Dispatches of one run.
    pub fn dispatches(&self) -> usize {
        self.plans.first().map_or(0, |p| p.plan.dispatches())
    }

    /// Sends up to [`Batched::batch`] pictures on their way. Another batch may be submitted before this one is collected. Where pictures
    /// are cut to whole patches they may have another size, the same for all of a batch; then they go one by one.
    ///
    /// # Errors
    /// [`Error::Shape`] for a picture of another size, or several of one; whatever the device reports.
    pub async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        let size = pictures.first().filter(|_| self.any_size).map_or(self.feed.size, |p| p.size());
        let numbers = pictures.iter().any(|p| matches!(p, Prepared::Numbers(_)))
            || self.planned((self.feed.size, Form::Bytes)).is_none();
        let (kind, batch) = ((size, if numbers { Form::Numbers } else { Form::Bytes }), self.most(size));
        if pictures.len() > batch {
            return Err(Error::Shape(format!("{} pictures in a batch of {batch}", pictures.len())));
        }
        match self.plans.iter().position(|p| p.kind == kind) {
            // Plans are in the order of their last use.
            Some(at) => self.plans.get_mut(at..).unwrap_or_default().rotate_left(1),
            None => self.plan(kind).await?, // the first picture of more than 8 bits, or of another size
        }
        let value = self.feed.of(size).value(pictures, batch, kind.1)?;
        Ok(Under { run: self.ready(kind)?.submit(&[&value])?, kind, batch })
    }

    fn ready(&self, kind: Kind) -> Result<&Plan<'g>> {
        self.planned(kind).ok_or_else(|| Error::Gpu("a batch is under way without a plan".into()))
    }

    /// The outputs of a batch; what belongs to pictures that were not there is to be ignored.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn collect(&self, under: Under) -> Result<Vec<Tensor>> {
        self.ready(under.kind)?.collect(under.run)
    }
}

/// Part `i` of `n` equal ones along the first axis.
pub fn part(t: &Tensor, i: usize, n: usize) -> Tensor {
    let (rows, each) = (t.shape.dim(0) / n.max(1), t.data.len() / n.max(1));
    let mut sizes = t.shape.dims().to_vec();
    if let Some(first) = sizes.first_mut() {
        *first = rows;
    }
    Tensor::new(Shape::new(&sizes), t.data[i * each..][..each].to_vec())
}
