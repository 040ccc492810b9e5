//! The table of times: the one table that depends on the machine.

use super::plots::adapt::median;
use super::table::{Entry, Table};
use super::text;
use super::view::View;
use crate::study::{Task, Timing};

/// A row for each method, data set, task and number of good shots, in the order in which they were measured.
pub fn table(view: &View) -> Table {
    type Key<'a> = (&'a str, &'a str, Task, usize);
    let key = |t: &'_ Timing| (t.method.clone(), t.category.clone(), t.task, t.good);
    let mut groups: Vec<((String, String, Task, usize), Vec<&Timing>)> = vec![];
    let mut places = std::collections::HashMap::new();
    for timing in &view.results.timing {
        let place = *places.entry(key(timing)).or_insert_with(|| {
            groups.push((key(timing), vec![]));
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.1.push(timing);
        }
    }
    let row = |(key, all): &((String, String, Task, usize), Vec<&Timing>)| {
        let (method, category, task, good): Key = (&key.0, &key.1, key.2, key.3);
        let of = |value: fn(&Timing) -> f64| {
            let middle = median(all.iter().map(|t| value(t)).collect());
            middle.map_or_else(Entry::none, |v| Entry::value(v, text::digits(v)))
        };
        vec![
            Entry::words(method),
            Entry::words(category),
            Entry::words(task.to_string()),
            Entry::number(good),
            Entry::number(all.len()),
            of(|t| t.adapt_s),
            of(|t| t.infer_ms),
        ]
    };
    Table {
        title: "Times, measured on this machine".into(),
        note: "Medians over repeats, the network's share included: seconds from pictures to a method that is ready, milliseconds from a \
               picture to its answer."
            .into(),
        heads: ["method", "data set", "task", "good", "repeats", "adapt, s", "answer, ms"].map(String::from).to_vec(),
        rows: groups.iter().map(row).collect(),
    }
}
