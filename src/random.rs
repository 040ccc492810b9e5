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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_reference_vectors() {
        assert_eq!(draw("bilinear.x", 0), 0x939c_b48c_65ca_2692);
        assert_eq!(distinct("rows", 10, 3).len(), 3);
        assert_ne!(distinct("rows", 10, 1000), distinct("other rows", 10, 1000));
    }
}
