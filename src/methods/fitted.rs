//! One fitted model, whatever its method: what every command needs of it, and the methods that Lupe has.

use super::batched::{Feed, Form, Head, head};
use super::limit::{LimitRule, Trained};
use super::{caml, classifier, dino, efficientad, patchcore, prototype};
use crate::data::{Picture, Prepared, Preprocess, Resampling};
use crate::engine::{Caps, Graph, Var};
use crate::error::{Error, Result};
use crate::random;
use crate::tensor::Tensor;
use crate::weights::WeightsFile;
use crate::weights::container;
use crate::weights::safetensors::with_file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::{self, Debug, Display, Formatter};
use std::path::Path;

/// What is found in one picture.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// How anomalous it is: higher is worse.
    pub score: f64,
    /// Its class, where the method classifies.
    pub label: Option<String>,
    /// Probabilities of the classes, where the method classifies.
    pub probabilities: Vec<(String, f64)>,
    /// By how much the largest logit is larger than the next, where the method classifies.
    pub margin: Option<f64>,
    /// Anomaly map `[h, w]`, where the method localises.
    pub map: Option<Tensor>,
    /// Whether the map has the picture's own size; else it lies over the model's [`Fitted::map_view`] of the picture.
    pub whole: bool,
}

impl Finding {
    /// Where the map is in a picture of `width x height`, by its model's [`Fitted::map_view`]: x, y, width, height in the picture's pixels.
    pub fn area(&self, view: &Preprocess, width: usize, height: usize) -> [f64; 4] {
        if self.whole { [0.0, 0.0, width as f64, height as f64] } else { view.area(width, height) }
    }
}

/// What a fitted model computes of pictures.
#[derive(Clone, Debug, Default)]
pub struct Answer<'g> {
    /// What [`Fitted::findings`] reads.
    pub outputs: Vec<Var<'g>>,
    /// What describes the pictures, `[n, places, values]`, for those who want to look at it.
    pub features: Option<Var<'g>>,
}

/// A picture that a fit saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Path relative to the data set's folder.
    pub name: String,
    /// Hash of the file.
    pub sha256: String,
}

/// A picture that a fit was given and did not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The picture.
    #[serde(flatten)]
    pub picture: Seen,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
}

/// Why a fit did not use a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// To the network it is the same as the picture of this name.
    SameAs(String),
    /// Its score, as text, stands apart from the others'.
    Outlier(String),
}

impl Display for Why {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Why::SameAs(name) => write!(f, "to the network the same as {name}"),
            Why::Outlier(score) => write!(f, "an outlier with score {score}"),
        }
    }
}

/// Which pictures a model knows.
#[derive(Clone, Copy, Debug)]
pub enum Known<'m> {
    /// It was fitted on some and kept others aside for testing.
    Fitted {
        /// Pictures that it was fitted on.
        on: &'m [Seen],
        /// Pictures that it was given to be fitted on and that it left out: copies of others, and outliers.
        left_out: &'m [LeftOut],
        /// Pictures kept aside.
        held_out: &'m [Seen],
    },
    /// It comes from elsewhere: nothing is known.
    Unknown,
}

/// A graph of a model, with inputs to run it on.
pub struct Stage<'m> {
    /// What it is called.
    pub name: &'static str,
    /// Its inputs, in the order declared.
    pub inputs: Vec<Tensor>,
    /// Builds it.
    pub build: Box<Build<'m>>,
}

/// A function that builds a graph and gives its outputs.
pub type Build<'m> = dyn for<'g> Fn(&'g Graph) -> Vec<Var<'g>> + 'm;

/// A fitted model.
pub trait Fitted: Debug + Send + Sync {
    /// Name of the method.
    fn method(&self) -> &'static str;

    /// What pictures go through before the graph sees them.
    fn preprocess(&self) -> Preprocess;

    /// Rows and columns of the graph's input.
    fn input_size(&self) -> [usize; 2];

    /// Takes the checkpoint that it needs beside its network, which its file does not hold.
    ///
    /// # Errors
    /// [`Error::Usage`] where the method has none; [`Error::Weights`] for another one than it was fitted with.
    fn take_checkpoint(&mut self, _path: &Path) -> Result<()> {
        Err(Error::Usage(format!("--checkpoint: a model of {} has none; leave the flag out", self.method())))
    }

    /// The largest score that is not called defective, where one is known.
    fn limit(&self) -> Option<f64>;

    /// The same of the anomaly map's values.
    fn map_limit(&self) -> Option<f64> {
        None
    }

    /// How the limits follow from the training pictures, where they do.
    fn limit_rule(&self) -> Option<LimitRule> {
        None
    }

    /// The training pictures with their scores, where the model remembers them.
    fn training(&self) -> Vec<Trained<'_>> {
        vec![]
    }

    /// The model's file with limits by another rule, all else unchanged.
    ///
    /// # Errors
    /// [`Error::Usage`] if the rule gives no limit here, or the method has no such rules.
    fn with_limit(&self, _rule: LimitRule) -> Result<Vec<u8>> {
        Err(Error::Usage(format!("the limit of a model of {} cannot be changed; fit again", self.method())))
    }

    /// Values of the first and last colour of heat maps, the same for all pictures of a model.
    fn scale(&self) -> [f32; 2] {
        [0.0, 1.0]
    }

    /// Whether findings have a map.
    fn localises(&self) -> bool;

    /// What anomaly maps lie over: what pictures go through, unless maps are stretched over what is cut off.
    fn map_view(&self) -> Preprocess {
        self.preprocess()
    }

    /// The classes that it tells apart, where it classifies.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// The anomaly map at a picture's own size, rows and columns, where the method defines it there: from the map of a finding.
    fn whole_map(&self, _map: &Tensor, _size: [usize; 2]) -> Option<Tensor> {
        None
    }

    /// The score of a picture by its map at the picture's own size, where it follows from that one; else it stays as it was found.
    fn whole_score(&self, _map: &Tensor) -> Option<f64> {
        None
    }

    /// Whether masks are brought to what maps lie over pixel by pixel, as anomalib does; else they are resized as pictures are.
    fn nearest_masks(&self) -> bool {
        self.preprocess().resampling == Resampling::Float
    }

    /// Which pictures it knows.
    fn known(&self) -> Known<'_>;

    /// The way from pictures `[n, h, w, 3]` to what [`Fitted::findings`] reads, on a device that can do `caps`.
    fn answer<'g>(&self, graph: &'g Graph, pictures: Var<'g>, caps: &Caps) -> Answer<'g>;

    /// Whether it can be planned at all: what is in it may be anything.
    ///
    /// # Errors
    /// [`Error::Numeric`] for numbers that are not finite.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// What the outputs of a run say of each of its `n` pictures: [`Error::Numeric`] where an answer is not a number, never a verdict.
    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<Result<Finding>>;

    /// Graphs of the fit alone, on stand-ins for what it worked on.
    fn fit_stages(&self, _caps: &Caps) -> Vec<Stage<'_>> {
        vec![]
    }

    /// A step of its training on `batch` pictures that are like `picture` `[1, h, w, 3]`, preprocessed; `None` where a fit has no steps.
    ///
    /// # Errors
    /// Those of the method.
    fn training_stage(&self, _batch: usize, _picture: &Tensor) -> Result<Option<Stage<'_>>> {
        Ok(None)
    }

    /// What the user should know of weights that were read for it.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// What metrics say of the model that they are of.
    fn facts(&self) -> Map<String, Value>;
}

impl dyn Fitted + '_ {
    /// A finding with its map at the picture's own size, where the method defines it there.
    pub(super) fn at_own_size(&self, finding: Finding, picture: &Picture) -> Finding {
        let whole = finding.map.as_ref().and_then(|map| self.whole_map(map, [picture.height, picture.width]));
        match whole {
            Some(map) => {
                let score = self.whole_score(&map).unwrap_or(finding.score);
                Finding { score, map: Some(map), whole: true, ..finding }
            }
            None => finding,
        }
    }

    /// The way from pictures to the answer, for `batch` pictures: as given, `[1, …]` in the form in which they go to the device, or noise.
    ///
    /// # Errors
    /// As [`Feed::value`].
    pub fn predict_stage(&self, batch: usize, picture: Option<Prepared>, caps: Caps) -> Result<Stage<'_>> {
        self.check()?;
        let head = head(move |graph, pictures| self.answer(graph, pictures, &caps).outputs);
        stage("predict", (&self.preprocess(), self.input_size()), (batch, picture), head)
    }
}

/// A function of `batch` pictures of a size as a stage: of one as given, that many times, or of noise.
pub(super) fn stage<'m>(
    name: &'static str,
    (preprocess, size): (&Preprocess, [usize; 2]),
    (batch, picture): (usize, Option<Prepared>),
    head: Box<Head<'m>>,
) -> Result<Stage<'m>> {
    let picture = picture.unwrap_or_else(|| noise(preprocess, size));
    let form = if matches!(picture, Prepared::Bytes { .. }) { Form::Bytes } else { Form::Numbers };
    let feed = Feed::new(preprocess, size);
    let inputs = vec![feed.value(&vec![&picture; batch], batch, form)?];
    let build = boxed(move |graph| head(graph, feed.input(graph, batch, form)));
    Ok(Stage { name, inputs, build })
}

/// A picture `[1, h, w, 3]` so many times.
pub(super) fn repeated(picture: &Tensor, times: usize) -> Tensor {
    let [_, h, w, c] = picture.shape.nhwc();
    Tensor::new([times, h, w, c], picture.data.repeat(times))
}

/// Helps the compiler to see that a closure builds any graph.
pub(super) fn boxed<'m>(build: impl for<'g> Fn(&'g Graph) -> Vec<Var<'g>> + 'm) -> Box<Build<'m>> {
    Box::new(build)
}

/// A picture of noise, in the form in which pictures of 8 bits reach a network.
pub(super) fn noise(preprocess: &Preprocess, [h, w]: [usize; 2]) -> Prepared {
    let rgb = (0..3 * h * w).map(|i| (random::draw("picture of noise", i as u64) >> 56) as u8).collect();
    let bytes = Prepared::Bytes { rgb, size: [h, w] };
    if preprocess.gives_bytes() { bytes } else { Prepared::Numbers(preprocess.numbers(bytes)) }
}

/// What a file says of itself, for people and for programs; its weights may be elsewhere.
#[derive(Clone, Debug)]
pub struct Description {
    /// What it is, as in `a PatchCore model`.
    pub title: String,
    /// Facts by what they are about.
    pub lines: Vec<(&'static str, String)>,
    /// The same and more.
    pub json: Value,
    /// The network whose weights have to be given, where the file does not hold them.
    pub needs_weights: Option<String>,
}

/// A method: what its files are called, and how they are read.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name on the command line and in its files.
    pub name: &'static str,
    /// What a file says of itself; its bytes, and what messages call it.
    pub describe: fn(&[u8], &str) -> Result<Description>,
    /// A file ready to use; weights that it does not hold come from the other file.
    pub open: Open,
}

/// Opens a file: its bytes, what messages call it, and where weights are that it does not hold.
pub type Open = fn(&[u8], &str, Option<&WeightsFile>) -> Result<Box<dyn Fitted>>;

/// The methods that files are opened by.
#[derive(Clone, Debug)]
pub struct Methods(Vec<Method>);

impl Default for Methods {
    /// Lupe's own: a new one is a line here.
    fn default() -> Methods {
        let anomalies = [patchcore::METHOD, dino::ANOMALY_DINO, dino::SUBSPACE_AD, efficientad::METHOD];
        Methods([&anomalies[..], &[prototype::METHOD, caml::METHOD, classifier::METHOD]].concat())
    }
}

impl Methods {
    /// These and another one.
    pub fn with(mut self, method: Method) -> Methods {
        self.0.push(method);
        self
    }

    /// The method of a file.
    ///
    /// # Errors
    /// [`Error::Weights`] for damaged facts, or a method that is unknown here; tensors are checked where they are read.
    fn of(&self, bytes: &[u8], origin: &str) -> Result<Method> {
        let facts = container::facts(bytes, origin)?;
        let name = facts.get("method").and_then(Value::as_str).unwrap_or("none");
        self.0.iter().find(|m| m.name == name).copied().ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|m| m.name).collect();
            let known = known.join(", ");
            let name = crate::error::plain(name);
            Error::Weights(vec![format!("{origin}: unknown method `{name}`; available: {known}")])
        })
    }

    /// What a file says of itself.
    ///
    /// # Errors
    /// [`Error::Weights`] for a damaged model.
    pub fn describe(&self, bytes: &[u8], origin: &str) -> Result<Description> {
        (self.of(bytes, origin)?.describe)(bytes, origin)
    }

    /// Opens a fitted model; weights that it does not hold come from `weights`, if they are the ones that it was fitted with.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read, [`Error::Weights`] for a damaged model or other weights.
    pub fn open(&self, path: &Path, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
        let origin = crate::error::shown(path);
        with_file(path, |bytes| (self.of(bytes, &origin)?.open)(bytes, &origin, weights))
    }
}

/// Opens a fitted model of any of Lupe's methods whose file holds all that it needs.
///
/// # Errors
/// As [`Methods::open`].
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Fitted>> {
    Methods::default().open(path.as_ref(), None)
}
