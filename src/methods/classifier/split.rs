//! Which pictures are trained on and which are kept to see how it goes.

use crate::random::draw;
use std::collections::BTreeMap;

/// Which of pictures, each with its class and the hash of its file, are kept: of every class with n of them `share` of n, rounded, but never
/// all. Which ones follows from the seed and their content alone; different pictures have different hashes.
pub fn kept(pictures: &[(usize, &str)], share: f64, seed: u64) -> Vec<bool> {
    let mut classes = BTreeMap::<usize, Vec<(u64, &str, usize)>>::new();
    for (i, (class, hash)) in pictures.iter().enumerate() {
        let drawn = draw(&format!("classifier.split.{seed}.{hash}"), 0);
        classes.entry(*class).or_default().push((drawn, hash, i));
    }
    let mut kept = vec![false; pictures.len()];
    for mut all in classes.into_values() {
        all.sort_unstable();
        let count = ((share * all.len() as f64 + 0.5) as usize).min(all.len() - 1);
        for (.., i) in all.into_iter().take(count) {
            kept.iter_mut().skip(i).take(1).for_each(|k| *k = true);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn every_class_gives_its_share_and_keeps_one() {
        let hashes: Vec<String> = (0..20).map(|i| format!("{i:064x}")).collect();
        let all: Vec<(usize, &str)> = [10, 5, 2, 1, 2]
            .into_iter()
            .enumerate()
            .flat_map(|(class, n)| std::iter::repeat_n(class, n))
            .zip(&hashes)
            .map(|(class, hash)| (class, hash.as_str()))
            .collect();
        let counts = |share: f64, seed: u64| {
            let kept = kept(&all, share, seed);
            let of = |class: usize| all.iter().zip(&kept).filter(|(p, k)| p.0 == class && **k).count();
            [of(0), of(1), of(2), of(3), of(4)]
        };
        assert_eq!(counts(0.2, 0), [2, 1, 0, 0, 0]);
        assert_eq!(counts(0.3, 0), [3, 2, 1, 0, 1]);
        assert_eq!(counts(0.9, 0), [9, 4, 1, 0, 1]);
        assert_eq!(counts(0.0, 0), [0; 5]);
        assert_ne!(kept(&all, 0.5, 0), kept(&all, 0.5, 1));
        // Names and order have no say in it.
        let turned: Vec<_> = all.iter().rev().copied().collect();
        let again: Vec<bool> = kept(&turned, 0.5, 0).into_iter().rev().collect();
        assert_eq!(again, kept(&all, 0.5, 0));
    }
}
