//! Random draws by the splitmix64 rule: a name and a position give the same number on every platform.

/// The step between two positions of a stream.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The splitmix64 mix of one state.
pub fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Position `i` of the stream that begins at `seed`, 64 random bits.
pub fn at(seed: u64, i: u64) -> u64 {
    mix(seed.wrapping_add((i + 1).wrapping_mul(STEP)))
}

/// Position `i` of the stream `name`, 64 random bits.
pub fn draw(name: &str, i: u64) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    at(hash, i)
}

/// Uniform in [0, 1), 24 bits.
pub fn uniform(name: &str, i: u64) -> f64 {
    (draw(name, i) >> 40) as f64 / (1u64 << 24) as f64
}

/// `count` different numbers below `n` from the stream `name`.
pub fn distinct(name: &str, count: usize, n: usize) -> Vec<usize> {
    let mut found = vec![];
    for i in 0.. {
        if found.len() >= count.min(n) {
            break;
        }
        let number = ((u128::from(draw(name, i)) * n as u128) >> 64) as usize;
        if !found.contains(&number) {
            found.push(number);
        }
    }
    found
}

/// A stream that is read on from where the last reader stopped.
#[derive(Clone, Debug)]
pub struct Stream {
    name: String,
    next: u64,
}

impl Stream {
    /// The stream of that name, from its beginning.
    pub fn new(name: impl Into<String>) -> Stream {
        Stream { name: name.into(), next: 0 }
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f64 {
        self.below(1 << 24) as f64 / (1u64 << 24) as f64
    }

    /// A number below `n`, which is at least 1, all of them equally likely: draws beyond the last whole multiple of `n` are drawn again.
    pub fn below(&mut self, n: usize) -> usize {
        let n = (n as u64).max(1);
        let rest = (u64::MAX % n + 1) % n;
        loop {
            let drawn = draw(&self.name, self.next);
            self.next += 1;
            if drawn <= u64::MAX - rest {
                return (drawn % n) as usize;
            }
        }
    }

    /// The numbers below `n`, shuffled by Fisher and Yates.
    pub fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| all.swap(i, self.below(i + 1)));
        all
    }
}

/// Numbers below `n` without end: all of them in one order, then all in another, and so on. What stands at a place follows from the name
/// alone, so that a training may begin anywhere.
#[derive(Clone, Debug)]
pub struct Order {
    name: String,
    n: usize,
}

impl Order {
    /// Of the numbers below `n`, which is at least 1.
    pub fn new(name: impl Into<String>, n: usize) -> Order {
        Order { name: name.into(), n: n.max(1) }
    }

    /// The number at place `k`.
    pub fn at(&self, k: u64) -> usize {
        let n = self.n as u64;
        let shuffled = Stream::new(format!("{}.{}", self.name, k / n)).shuffled(self.n);
        shuffled.get((k % n) as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_reference_vectors() {
        assert_eq!(draw("bilinear.x", 0), 0x939c_b48c_65ca_2692);
        assert_eq!(distinct("rows", 10, 3).len(), 3);
        assert_ne!(distinct("rows", 10, 1000), distinct("other rows", 10, 1000));
    }

    /// By the definition, in Python: FNV-1a of the name, splitmix64, rejection, Fisher-Yates from the end.
    #[test]
    fn a_shuffle_is_the_same_everywhere_and_fair() {
        let mut stream = Stream::new("0|hazelnut|2-way|all|0");
        assert_eq!(stream.shuffled(8), SHUFFLED[0]);
        assert_eq!(stream.shuffled(8), SHUFFLED[1]);
        assert_eq!(Stream::new("x").shuffled(1), [0]);
        let mut places = [[0; 4]; 4];
        let mut stream = Stream::new("fair");
        for _ in 0..4000 {
            stream.shuffled(4).into_iter().enumerate().for_each(|(at, number)| places[at][number] += 1);
        }
        // 1000 each, with a deviation of 27.
        assert!(places.iter().flatten().all(|n| (880..1120).contains(n)), "{places:?}");
    }

    #[test]
    fn an_order_takes_all_before_any_twice() {
        let order = Order::new("order.3", 7);
        let epoch = |e: u64| (0..7).map(|i| order.at(7 * e + i)).collect::<Vec<_>>();
        for e in [0, 1, 1_000_000] {
            let mut all = epoch(e);
            all.sort_unstable();
            assert_eq!(all, (0..7).collect::<Vec<_>>());
        }
        assert_ne!(epoch(0), epoch(1));
        assert_ne!(epoch(0), (0..7).map(|i| Order::new("order.4", 7).at(i)).collect::<Vec<_>>());
        assert_eq!(Order::new("order", 1).at(12345), 0);
    }

    const SHUFFLED: [[usize; 8]; 2] = [[4, 0, 1, 5, 7, 3, 2, 6], [1, 0, 6, 7, 5, 4, 3, 2]];
}
