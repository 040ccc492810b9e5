//! Trainings as commands run them: how long they take is said beforehand, they end early where what is held out gains nothing more, and
//! stopped or not they give the same bits.

use crate::common;
use crate::common::sweep::gpu;
use crate::common::two_layers::{ADAM, network, noise, rows, step, weights};
use lupe::engine::{Graph, Named, Options, Parameters, Plan, Scope, Store};
use lupe::tensor::Tensor;
use lupe::train::{Checkpoint, Course, End, Held, Keeping, Patience, Trainer};
use lupe::watch::{Unwatched, Watch};
use lupe::{Error, Result};
use pollster::block_on;
use serde_json::Map;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hears what is said, and interrupts after so many questions.
struct Listener(Mutex<Vec<String>>, AtomicUsize);

impl Watch for Listener {
    fn say(&self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
    fn progress(&self, _: &'static str, _: usize, _: usize) {}
    fn left_by_interrupt(&self, _: &str) {}
    fn go_on(&self) -> Result<()> {
        match self.1.fetch_sub(1, Ordering::Relaxed) {
            1 => Err(Error::Interrupted("the test".into())),
            _ => Ok(()),
        }
    }
}

fn listener(stop: usize) -> Listener {
    Listener(Mutex::default(), AtomicUsize::new(stop))
}

/// How a training ended, its losses and weights. What is held out asks for something that nothing of the rows says.
fn run(
    steps: u64,
    (patience, broken): (Option<Patience>, Option<u64>),
    keeping: &Keeping,
    watch: &dyn Watch,
) -> Result<(End, Tensor, Named)> {
    let (named, store, graph, other) = (weights(), Store::new(), Graph::new(), Graph::new());
    let parameters = Parameters::new(&named, ADAM.rule.slots(), |_| true);
    let losses = [("loss", step(&graph, &named, &parameters, &ADAM))];
    let planned = Trainer::new(gpu(), (&graph, &losses), (&store, &parameters), ADAM, Options::default());
    let mut trainer = block_on(planned)?;
    let y = network(other.input("x", [32, 8]), &Scope::new(&other, &named).training(&parameters));
    let apart = (y - other.input("t", [32, 4])).square().reshape([1, 128]).mean();
    let looking = block_on(Plan::new(gpu(), &other, &[apart], &store, Options::default()))?;
    let held_out = [noise("held out", [32, 8]), noise("to be said of it", [32, 4])];
    let mut loss = || {
        watch.go_on()?;
        Ok(f64::from(looking.collect(looking.submit(&[&held_out[0], &held_out[1]])?)?[0].data[0]))
    };
    let held = patience.map(|patience| Held { patience, loss: &mut loss });
    let inputs = |step: u64, examples: Vec<u64>| {
        assert_eq!(examples, [2 * step, 2 * step + 1]);
        let mut rows = rows(step);
        rows[0].data[5] = if broken == Some(step) { f32::NAN } else { rows[0].data[5] };
        Ok(rows)
    };
    let course = Course { steps, each: 2, make: &|k| Ok(k), inputs: &inputs, stage: "steps" };
    let end = course.run(&mut trainer, held, (keeping, Map::new()), watch)?;
    Ok((end, trainer.losses(), trainer.weights()?))
}

fn keeping(path: &Path) -> Keeping {
    Keeping { path: Some(path.into()), every: 7, fresh: false }
}

const NO_PATIENCE: (Option<Patience>, Option<u64>) = (None, None);

#[test]
fn how_long_it_takes_is_said_first_and_changes_nothing() {
    if common::skip::without_device("a training as commands run it") {
        return;
    }
    let at = |lines: &[String], word: &str| lines.iter().position(|l| l.starts_with(word));
    let (long, short) = (listener(0), listener(0));
    let (end, losses, named) = run(70, NO_PATIENCE, &Keeping::default(), &long).unwrap();
    assert_eq!(end, End { step: 70, ..End::default() });
    let lines = long.0.lock().unwrap().clone();
    assert_eq!((at(&lines, "training  70 steps"), at(&lines, "estimate")), (Some(0), Some(1)), "{lines:?}");
    assert!(
        lines[1].ends_with("for the 70 steps left") && lines.iter().filter(|l| l.starts_with("estimate")).count() == 1
    );
    // Fifty are too few to try some first; what a trial does leaves no trace.
    let (_, few, _) = run(50, NO_PATIENCE, &Keeping::default(), &short).unwrap();
    let lines = short.0.lock().unwrap().clone();
    assert!(at(&lines, "estimate") > at(&lines, "step ") && at(&lines, "step ").is_some(), "{lines:?}");
    assert_eq!(few.data, losses.data[..50]);
    // Going on from a checkpoint, it is tried as well.
    let folder = tempfile::tempdir().unwrap();
    let (path, stopped) = (folder.path().join("x.training"), listener(14));
    assert!(matches!(run(70, NO_PATIENCE, &keeping(&path), &stopped), Err(Error::Interrupted(_))));
    let step = Checkpoint::read(&path).unwrap().step;
    assert!((1..11).contains(&step), "{step}");
    let again = listener(0);
    let resumed = run(70, NO_PATIENCE, &keeping(&path), &again).unwrap();
    assert!(resumed.1 == losses && resumed.2 == named);
    let lines = again.0.lock().unwrap().clone();
    assert!(
        lines[0].starts_with("resuming") && lines[2].ends_with(&format!("for the {} steps left", 70 - step)),
        "{lines:?}"
    );
    // A number that is none is told with its step, not as a trial's.
    let error = run(70, (None, Some(1)), &Keeping::default(), &Unwatched).unwrap_err().to_string();
    assert!(error.contains("step 1: the loss loss is NaN"), "{error}");
}

#[test]
fn it_ends_where_nothing_is_gained_and_keeps_the_best_weights() {
    if common::skip::without_device("a training that ends early") {
        return;
    }
    let patience = Patience { checks: 3, every: 5 };
    let (heard, asked) = (listener(0), (Some(patience), None));
    let (end, losses, named) = run(400, asked, &Keeping::default(), &heard).unwrap();
    let lines = heard.0.lock().unwrap().clone();
    let checks = lines.iter().filter(|l| l.starts_with("check ")).count() as u64;
    let (best, loss) = end.checks.best().unwrap();
    assert!(end.early && best > 0 && end.step == best + 15 && checks == end.step / 5, "{end:?}: {lines:?}");
    assert_eq!(losses.shape.dims(), [end.step as usize, 1]);
    let (_, alone, until) = run(best, NO_PATIENCE, &Keeping::default(), &Unwatched).unwrap();
    assert!(until == named && alone.data == losses.data[..best as usize], "the weights are those after {best} steps");
    // Stopped in steps, in checks and between them, it ends in the same way.
    let folder = tempfile::tempdir().unwrap();
    let (path, mut stops) = (folder.path().join("x.training"), 0);
    let resumed = loop {
        match run(400, asked, &keeping(&path), &listener(11 + stops % 7)) {
            Err(Error::Interrupted(_)) => stops += 1,
            done => break done.unwrap(),
        }
    };
    assert!(stops > 2 && resumed == (end, losses, named), "{stops} stops");
    // One that ends by itself has the best weights, too, and a last check.
    let (end, ..) = run(13, asked, &Keeping::default(), &Unwatched).unwrap();
    assert!(!end.early && end.step == 13 && end.checks.best().is_some(), "{end:?}");
    assert!(loss > 0.0);
}
