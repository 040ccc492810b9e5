//! Answers for a made-up study: what its methods might have said, for the analysis to find out what follows.

use super::study::Made;
use lupe::study::{Answer, Draw, Limit, Outcome, Results, Task, Timing};

/// Numbers that look random and are the same everywhere (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal, by the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// The results with answers: better with quality and shots, a learner's tending to `good` where more good shots were learned from.
pub fn answered(made: &Made) -> Results {
    let (mut results, _) = made.build();
    results.outcomes.clear();
    results.timing.clear();
    let mut dice = Dice(7);
    for (number, draw) in results.draws.iter().enumerate() {
        for (method, (facts, quality)) in made.methods.iter().enumerate() {
            let detects = facts.family.detects();
            for (good, bad, all) in numbers(draw.task, detects) {
                let good_shots = if draw.task.has_good() { good } else { 0 };
                let answer = answer(draw, *quality, (good_shots, bad), detects, &mut dice);
                results.outcomes.push(Outcome { method, draw: number, good: good_shots, bad, all, answer });
                let (name, category, task) = (facts.name.clone(), draw.category.clone(), draw.task);
                let (repeat, adapt_s) = (draw.repeat, 0.1 + 0.01 * good as f64);
                results.timing.push(Timing {
                    method: name,
                    category,
                    task,
                    good: good_shots,
                    repeat,
                    adapt_s,
                    infer_ms: 12.5,
                });
            }
        }
    }
    results
}

fn numbers(task: Task, detects: bool) -> Vec<(usize, usize, bool)> {
    match (detects, task) {
        (true, Task::T2 | Task::T4) => vec![(1, 0, false), (5, 0, false), (160, 0, true)],
        (true, _) => vec![],
        (false, Task::T4 | Task::T5) => [5, 10, 15, 30].map(|g| (g, 5, false)).to_vec(),
        (false, _) => [1, 3, 5].map(|k| (k, k, false)).to_vec(),
    }
}

fn answer(draw: &Draw, quality: f64, (good, bad): (usize, usize), detects: bool, dice: &mut Dice) -> Answer {
    let apart = 3.0 * quality + 0.2 * (good.max(bad) as f64).ln();
    let lean = if bad > 0 { (good as f64 / bad as f64).max(1.0).ln() } else { 0.0 };
    let named = draw.good();
    let mut answer = Answer::default();
    for query in &draw.queries {
        let defective = Some(query.class) != named;
        let score = if defective { apart } else { 0.0 } + dice.normal() - 0.5 * apart - 0.5 * lean;
        let others = draw.classes.len().max(2) - 1;
        let other = (query.class + 1 + (dice.share() * others as f64) as usize) % draw.classes.len().max(1);
        let kind = if dice.share() < quality { query.class } else { other };
        answer.said.push(match named {
            Some(good) if score < 0.0 => good,
            Some(good) if !defective || kind == good => (good + 1) % draw.classes.len().max(1),
            _ => kind,
        });
        answer.scores.push(score);
    }
    if detects {
        answer.said.clear();
        answer.limits = vec![(Limit::HeldOut, 0.4), (Limit::Support, 0.2), (Limit::Oracle, 0.0)];
    }
    if named.is_none() {
        answer.scores.clear();
    }
    answer
}
