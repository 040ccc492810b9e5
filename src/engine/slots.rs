//! Memory by lifetime: which values may share a slot.

/// When a value is alive, and which slots it may lie in.
#[derive(Clone, Debug)]
pub struct Lifetime<K> {
    /// Step that writes it.
    pub from: usize,
    /// Last step that reads it.
    pub to: usize,
    /// Bytes.
    pub bytes: u64,
    /// Kind of slot: only values of one kind may share. An image slot's ring is written by nobody, so its kind is its geometry;
    /// buffers have one kind.
    pub kind: K,
}

/// A slot for each value, and size and kind of every slot. Largest first; the first slot of the kind whose holders are all
/// dead or not yet alive.
pub fn assign_slots<K: PartialEq + Clone>(values: &[Lifetime<K>]) -> (Vec<usize>, Vec<(u64, K)>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(values[i].bytes), i));
    let mut slots: Vec<(u64, K, Vec<usize>)> = vec![];
    let mut slot_of = vec![0; values.len()];
    for i in order {
        let v = &values[i];
        let apart = |&k: &usize| values[k].to < v.from || v.to < values[k].from;
        let free = slots.iter().position(|(_, kind, held)| *kind == v.kind && held.iter().all(apart));
        let slot = free.unwrap_or_else(|| {
            slots.push((v.bytes, v.kind.clone(), vec![]));
            slots.len() - 1
        });
        slots[slot].2.push(i);
        slot_of[i] = slot;
    }
    (slot_of, slots.into_iter().map(|(bytes, kind, _)| (bytes, kind)).collect())
}
