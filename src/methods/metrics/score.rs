//! Scores as integers of the same order, so that sorting is fast and a pixel takes few bytes.

use crate::error::{Error, Result};

/// A score of a picture or pixel: f32 or f64.
pub trait Score: Copy {
    /// Unsigned integer with the score's order: u32 or u64.
    type Key: Copy + Ord;
    /// A key and, below it, the number of a region: u64 or u128.
    type Entry: Copy + Ord;

    /// The integer whose order is the score's; -0.0 and 0.0 have the same. Not for NaN.
    fn key(self) -> Self::Key;

    /// The score, without loss.
    fn value(self) -> f64;

    /// Score and region as one integer, sorted by the score first.
    fn entry(self, region: u32) -> Self::Entry;

    /// Score and region of an entry.
    fn split(entry: Self::Entry) -> (Self, u32);
}

macro_rules! score {
    ($float:ty, $key:ty, $entry:ty) => {
        impl Score for $float {
            type Key = $key;
            type Entry = $entry;

            fn key(self) -> $key {
                let bits = (self + 0.0).to_bits(); // -0.0 + 0.0 is 0.0
                let sign = 1 << (<$key>::BITS - 1);
                // Among negative floats larger bits mean a smaller number.
                if bits & sign == 0 { bits | sign } else { !bits }
            }

            fn value(self) -> f64 {
                f64::from(self)
            }

            fn entry(self, region: u32) -> $entry {
                <$entry>::from(self.key()) << 32 | <$entry>::from(region)
            }

            fn split(entry: $entry) -> ($float, u32) {
                let (key, sign) = ((entry >> 32) as $key, 1 << (<$key>::BITS - 1));
                (<$float>::from_bits(if key & sign == 0 { !key } else { key ^ sign }), entry as u32)
            }
        }
    };
}

score!(f32, u32, u64);
score!(f64, u64, u128);

/// Refuses NaN, which cannot be ordered.
pub(super) fn ordered<S: Score>(scores: impl IntoIterator<Item = S>) -> Result<()> {
    match scores.into_iter().position(|s| s.value().is_nan()) {
        Some(at) => Err(Error::Numeric(format!("no metric can be computed: score {at} is not a number"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_scores() {
        let rising = [f64::NEG_INFINITY, -3.5, -1e-40, 0.0, 1e-40, 0.1, 7.0, f64::INFINITY];
        for pair in rising.windows(2) {
            assert!(pair[0].key() < pair[1].key(), "{pair:?}");
            assert!((pair[0] as f32).key() < (pair[1] as f32).key(), "{pair:?}");
        }
        assert_eq!((-0.0f32).key(), 0.0f32.key());
        assert_eq!((-0.0f64).key(), 0.0f64.key());
    }

    #[test]
    fn entries_give_back_what_they_hold() {
        for v in [f32::NEG_INFINITY, -2.5, 0.0, 0.1, f32::MAX] {
            assert_eq!(f32::split(v.entry(u32::MAX)), (v, u32::MAX));
            assert_eq!(f64::split(f64::from(v).entry(3)), (f64::from(v), 3));
        }
        assert!(0.1f32.entry(u32::MAX) < 0.2f32.entry(0), "the score counts first");
    }
}
