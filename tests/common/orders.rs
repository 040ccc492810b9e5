//! What tuning relies on: candidates that state the same order of sums give the same bits, on every case of their op.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where two candidates may be exchanged: op, number of the case, order.
pub type Place = (&'static str, usize, String);

/// The bits that the first candidate of each order gave, and how many were held to them.
#[derive(Default)]
pub struct Orders {
    first: Mutex<HashMap<Place, (String, u64)>>,
    held: AtomicUsize,
}

impl Orders {
    /// Holds the bits that candidate `label` gave to those of the first of its order.
    ///
    /// # Errors
    /// Names both candidates where their bits differ.
    pub fn agree(&self, place: Place, label: &str, bits: &[u32]) -> Result<(), String> {
        let mut hasher = DefaultHasher::new();
        bits.hash(&mut hasher);
        let own = (label.to_string(), hasher.finish());
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((other, hash)) = first.get(&place) else {
            first.insert(place, own);
            return Ok(());
        };
        if *hash != own.1 {
            return Err(format!("{label} and {other} state the same order, {}, and give different bits", place.2));
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many candidates agreed with the first of their order.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// Other bits of the same order are told, those of another order or case are not.
pub fn disagreement_is_told() -> Result<(), String> {
    let orders = Orders::default();
    let place = |case: usize, order: &str| ("planted", case, order.to_string());
    orders.agree(place(0, "by fours"), "wide", &[1, 2])?;
    orders.agree(place(0, "by fours"), "narrow", &[1, 2])?;
    orders.agree(place(0, "by eights"), "other", &[1, 3])?;
    orders.agree(place(1, "by fours"), "wide", &[1, 3])?;
    let told = orders.agree(place(0, "by fours"), "odd", &[1, 3]).err().unwrap_or_default();
    let right = orders.held() == 1 && told == "odd and wide state the same order, by fours, and give different bits";
    right.then_some(()).ok_or(told)
}
