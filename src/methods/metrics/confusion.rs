//! How good a classifier is: which class was said of pictures of which class.

/// Pictures by their class and by what was said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion(Vec<Vec<usize>>);

impl Confusion {
    /// Of so many classes, without pictures.
    pub fn new(classes: usize) -> Confusion {
        Confusion(vec![vec![0; classes]; classes])
    }

    /// Counts a picture of class `is`, called class `said`; numbers beyond the classes are not counted.
    pub fn add(&mut self, is: usize, said: usize) {
        self.0.get_mut(is).and_then(|row| row.get_mut(said)).into_iter().for_each(|n| *n += 1);
    }

    /// For each class how many of its pictures were called each class.
    pub fn rows(&self) -> &[Vec<usize>] {
        &self.0
    }

    /// Pictures of each class.
    pub fn pictures(&self) -> Vec<usize> {
        self.0.iter().map(|row| row.iter().sum()).collect()
    }

    fn right(&self) -> Vec<usize> {
        self.0.iter().enumerate().map(|(i, row)| row.get(i).copied().unwrap_or_default()).collect()
    }

    /// The share of all pictures that were called what they are; `None` without pictures.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.right().iter().sum(), self.pictures().iter().sum())
    }

    /// For each class the share of its pictures that were called what they are; `None` for a class without pictures.
    pub fn recalls(&self) -> Vec<Option<f64>> {
        self.right().into_iter().zip(self.pictures()).map(|(right, all)| share(right, all)).collect()
    }

    /// The mean recall of the classes that have pictures.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let recalls: Vec<f64> = self.recalls().into_iter().flatten().collect();
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// The mean F1 of the classes, 2 TP / (2 TP + FP + FN). A class without pictures that nothing was called has no F1 and is left out, as
    /// scikit-learn leaves out labels that occur in neither list; one that has pictures or calls, but none right, counts as 0.
    pub fn macro_f1(&self) -> Option<f64> {
        let called = |class: usize| self.0.iter().filter_map(|row| row.get(class)).sum::<usize>();
        let both = self.pictures().into_iter().enumerate().map(|(class, pictures)| pictures + called(class));
        let f1: Vec<f64> =
            self.right().into_iter().zip(both).filter_map(|(right, both)| share(2 * right, both)).collect();
        (!f1.is_empty()).then(|| f1.iter().sum::<f64>() / f1.len() as f64)
    }

    /// The accuracy of calling every picture the class that has most of them: what an accuracy is to be compared with.
    pub fn majority(&self) -> Option<f64> {
        let pictures = self.pictures();
        share(pictures.iter().copied().max()?, pictures.iter().sum())
    }
}

/// `part / of`; `None` of nothing.
pub fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_three_classes_of_which_one_has_no_picture() {
        let mut c = Confusion::new(3);
        [(0, 0), (0, 0), (0, 0), (0, 1), (2, 1), (2, 2), (3, 0), (0, 3)]
            .into_iter()
            .for_each(|(is, said)| c.add(is, said));
        assert_eq!(c.rows(), [[3, 1, 0], [0, 0, 0], [0, 1, 1]]);
        assert_eq!(c.pictures(), [4, 0, 2]);
        assert_eq!(
            (c.accuracy(), c.balanced_accuracy(), c.majority()),
            (Some(4.0 / 6.0), Some(0.625), Some(4.0 / 6.0))
        );
        assert_eq!(c.recalls(), [Some(0.75), None, Some(0.5)]);
        // Calls: 3, 2 and 1. The class without pictures has calls, so it counts.
        assert_eq!(c.macro_f1(), Some((6.0 / 7.0 + 0.0 + 2.0 / 3.0) / 3.0));
        let mut two = Confusion::new(3);
        [(0, 0), (2, 0)].into_iter().for_each(|(is, said)| two.add(is, said));
        assert_eq!(two.macro_f1(), Some((2.0 / 3.0 + 0.0) / 2.0), "the class in the middle does not occur");
        let none = Confusion::new(2);
        assert_eq!((none.accuracy(), none.balanced_accuracy(), none.majority()), (None, None, None));
        assert_eq!(none.macro_f1(), None);
    }
}
