//! The table of times: the one table that depends on the machine.

use super::plots::adapt::median;
use super::table::{Entry, Table};
use super::text;
use super::view::View;
use crate::study::Timing;
use std::collections::HashMap;

/// What was timed of a method, in a data set and a task, with so many good shots.
struct Group<'a> {
    first: &'a Timing,
    all: Vec<&'a Timing>,
}

/// A row for each group, in the order in which they were measured.
pub fn table(view: &View) -> Table {
    let mut groups: Vec<Group> = vec![];
    let mut places = HashMap::new();
    for timing in &view.results.timing {
        let key = (&timing.method, &timing.category, timing.task, timing.good);
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.all.push(timing),
            None => groups.push(Group { first: timing, all: vec![timing] }),
        }
    }
    Table {
        title: "Times, measured on this machine".into(),
        note: "Medians over repeats, the network's share included: seconds from pictures to a method that is ready, milliseconds from a \
               picture to its answer."
            .into(),
        heads: ["method", "data set", "task", "good", "repeats", "adapt, s", "answer, ms"].map(String::from).to_vec(),
        rows: groups.iter().map(row).collect(),
    }
}

fn row(group: &Group) -> Vec<Entry> {
    let of = |value: fn(&Timing) -> f64| {
        let middle = median(group.all.iter().map(|t| value(t)).collect());
        middle.map_or_else(Entry::none, |v| Entry::value(v, text::digits(v)))
    };
    vec![
        Entry::words(&group.first.method),
        Entry::words(&group.first.category),
        Entry::words(group.first.task.to_string()),
        Entry::number(group.first.good),
        Entry::number(group.all.len()),
        of(|t| t.adapt_s),
        of(|t| t.infer_ms),
    ]
}
