//! Episodes as they are written: one line each.

use super::{Class, Drawn};
use crate::methods::labelled::best;
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// One episode: what was drawn, and what was said.
#[derive(Clone, Debug)]
pub struct Episode {
    repeat: usize,
    shots: usize,
    drawn: Rc<Drawn>,
    /// For each class that takes part what each of its queries was called, as a number among those classes.
    said: Vec<Vec<usize>>,
}

impl Episode {
    /// From the logits of its queries, class by class.
    pub(super) fn new(repeat: usize, shots: usize, drawn: Rc<Drawn>, logits: &[Vec<Vec<f64>>]) -> Episode {
        let said = logits.iter().map(|queries| queries.iter().filter_map(|l| best(l)).map(|b| b.0).collect()).collect();
        Episode { repeat, shots, drawn, said }
    }

    /// For programs: `repeat`, `shots`, `seed` (the text whose hash it is), and by class `support`, `queries` (paths) and `said` (what
    /// each query was called).
    pub fn json(&self, classes: &[Class]) -> Value {
        let name = |class: &usize| classes.get(*class).map_or("", |c| c.name.as_str());
        let path = |class: usize, picture: usize| Some(classes.get(class)?.pictures.get(picture)?.0.as_str());
        let lists = |lists: &[Vec<usize>], most: usize| -> Map<String, Value> {
            let one = |(class, list): (&usize, &Vec<usize>)| {
                let paths: Vec<&str> = list.iter().take(most).filter_map(|p| path(*class, *p)).collect();
                (name(class).to_string(), json!(paths))
            };
            self.drawn.classes.iter().zip(lists).map(one).collect()
        };
        let called = |list: &Vec<usize>| -> Vec<&str> {
            list.iter().filter_map(|said| self.drawn.classes.get(*said)).map(name).collect()
        };
        let said =
            self.drawn.classes.iter().zip(&self.said).map(|(class, list)| (name(class).into(), json!(called(list))));
        json!({
            "repeat": self.repeat,
            "shots": self.shots,
            "seed": self.drawn.text,
            "support": lists(&self.drawn.support, self.shots),
            "queries": lists(&self.drawn.queries, usize::MAX),
            "said": said.collect::<Map<String, Value>>(),
        })
    }
}
