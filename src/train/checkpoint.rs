//! Where a training stands, in a file that is written whole or not at all.

use super::patience::Checks;
use crate::engine::{Gpu, Named, Parameters, Store};
use crate::error::{Error, Result, shown};
use crate::files;
use crate::tensor::Tensor;
use crate::weights::container::{self, Stored};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What `method` says in the facts of such a file.
const METHOD: &str = "training";

/// Prefix of the tensors that are states.
const STATE: &str = "state.";

/// Prefix of the weights of the best check.
const BEST: &str = "best.";

/// The checks: after how many steps, and the loss.
const CHECKS: &str = "checks";

/// Where a training stands after so many steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps that are done.
    pub step: u64,
    /// What the training was asked to do; one that was asked for something else cannot go on from here.
    pub choices: Map<String, Value>,
    /// Adapter, driver and width that it ran on: elsewhere the next steps may differ in their last bits.
    pub device: String,
    /// The losses of every step so far, `[steps, losses]`.
    pub losses: Tensor,
    /// States by the names of their weights.
    pub states: BTreeMap<String, Tensor>,
    /// Checks by what is held out, where there were any.
    pub checks: Checks,
    /// The weights of the best one.
    pub best: Named,
}

impl Checkpoint {
    /// The states of `parameters` as they are in `store`, once all submitted runs are done.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn states(gpu: &Gpu, store: &Store, parameters: &Parameters) -> Result<BTreeMap<String, Tensor>> {
        let one = |(name, p): (&str, &crate::engine::Parameter)| {
            let mut state = store.read(gpu, std::slice::from_ref(&p.began))?;
            Ok((name.to_string(), state.swap_remove(0)))
        };
        parameters.iter().map(one).collect()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] with the path and the system's reason; what was there before stays.
    pub fn write(&self, path: &Path) -> Result<()> {
        let facts = json!({
            "method": METHOD, "step": self.step, "choices": self.choices, "device": self.device,
            "lupe_version": env!("CARGO_PKG_VERSION"),
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("a checkpoint has no facts".into())) };
        let states = self.states.iter().map(|(name, t)| (format!("{STATE}{name}"), Stored::floats(t, false)));
        let best = self.best.iter().map(|(name, t)| (format!("{BEST}{name}"), Stored::floats(t, false)));
        let losses = ("losses".to_string(), Stored::floats(&self.losses, false));
        let mut tensors: BTreeMap<String, Stored> = states.chain(best).chain([losses]).collect();
        if !self.checks.0.is_empty() {
            let rows: Vec<f64> = self.checks.0.iter().flat_map(|c| [c.0 as f64, c.1]).collect();
            tensors.insert(CHECKS.into(), Stored::doubles(vec![self.checks.0.len(), 2], &rows));
        }
        files::write(path, &container::write(facts, &tensors)?)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is damaged or something else.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let origin = shown(path);
        let fail = |what: &str| Error::Weights(vec![format!("{origin}: {what}")]);
        let bytes = std::fs::read(path).map_err(|e| fail(&format!("cannot be read: {e}")))?;
        let (mut facts, tensors) = container::read(&bytes, &origin)?;
        if facts.get("method").and_then(Value::as_str) != Some(METHOD) {
            return Err(fail("is no checkpoint of a training"));
        }
        let step = facts.get("step").and_then(Value::as_u64).ok_or_else(|| fail("is damaged: it has no step"))?;
        let device = facts.get("device").and_then(Value::as_str).unwrap_or_default().to_string();
        let Some(Value::Object(choices)) = facts.remove("choices") else {
            return Err(fail("is damaged: it has no choices"));
        };
        let (mut states, mut best, mut losses) = (BTreeMap::new(), Named::new(), None);
        let mut tensors = tensors;
        let checks = tensors.remove(CHECKS).map_or(vec![], |stored| {
            let numbers: Vec<f64> = stored.numbers().collect();
            numbers.as_chunks().0.iter().map(|[step, loss]| (*step as u64, *loss)).collect()
        });
        for (name, stored) in tensors {
            let tensor = stored.tensor().ok_or_else(|| fail(&format!("is damaged: {name} is no tensor of floats")))?;
            match (name.strip_prefix(STATE), name.strip_prefix(BEST)) {
                (Some(name), _) => drop(states.insert(name.to_string(), tensor)),
                (_, Some(name)) => drop(best.insert(name.to_string(), Arc::new(tensor))),
                _ => losses = Some(tensor),
            }
        }
        let losses = losses.ok_or_else(|| fail("is damaged: it has no losses"))?;
        Ok(Checkpoint { step, choices, device, losses, states, checks: Checks(checks), best })
    }

    /// Whether a training with these choices can go on from here.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the choices that differ, and what to do.
    pub fn suits(&self, choices: &Map<String, Value>, origin: &Path) -> Result<()> {
        let names = self.choices.keys().chain(choices.keys().filter(|k| !self.choices.contains_key(*k)));
        let differs = |name: &&String| self.choices.get(*name) != choices.get(*name);
        let told = |v: Option<&Value>| v.map_or("nothing".into(), Value::to_string);
        let differ: Vec<String> = names
            .filter(differs)
            .map(|n| format!("{n} is {} there, {} here", told(self.choices.get(n)), told(choices.get(n))))
            .collect();
        if differ.is_empty() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{} is the checkpoint of another training: {}; use --fresh to begin anew, or the choices that it was begun with",
            shown(origin),
            differ.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Checkpoint {
        let Value::Object(choices) = json!({"steps": 7, "rate": 0.1}) else { panic!() };
        let states = [("a.weight".to_string(), Tensor::from_fn([3, 4], |i| i as f32 / 3.0))].into();
        let losses = Tensor::new([2, 1], vec![0.5, f32::MIN_POSITIVE / 8.0]);
        let best = [("a.weight".to_string(), Arc::new(Tensor::zeros([2, 2])))].into();
        let checks = Checks(vec![(1, 0.1), (2, 1.0 / 3.0)]);
        Checkpoint { step: 2, choices, device: "here".into(), losses, states, checks, best }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.training");
        made().write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap(), made());
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(Checkpoint::read(&path).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn other_choices_are_told() {
        let (made, path) = (made(), Path::new("x"));
        assert!(made.suits(&made.choices, path).is_ok());
        let Value::Object(other) = json!({"steps": 8, "seed": 1, "rate": 0.1}) else { panic!() };
        let text = made.suits(&other, path).unwrap_err().to_string();
        assert!(text.contains("steps is 7 there, 8 here") && text.contains("seed is nothing there, 1 here"), "{text}");
        assert!(!text.contains("rate"));
    }
}
