//! The header of a safetensors file: JSON in which no key may stand twice, since readers differ in which one they take.

use ::safetensors::SafeTensors;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Longest header that the safetensors library reads.
const MAX: u64 = 100_000_000;

/// A file whose header is as it should be.
pub fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    once(bytes)?;
    SafeTensors::deserialize(bytes).map_err(|e| e.to_string())
}

/// Whether no key stands twice; what else is wrong with the header is the library's to say.
pub fn once(bytes: &[u8]) -> Result<(), String> {
    let length = bytes.first_chunk().map(|b| u64::from_le_bytes(*b)).filter(|n| *n <= MAX);
    let end = length.and_then(|n| usize::try_from(n).ok()?.checked_add(8));
    let Some(text) = end.and_then(|end| bytes.get(8..end)) else { return Ok(()) };
    match serde_json::from_slice::<Once>(text) {
        Err(e) if e.is_data() => Err(crate::error::plain(&e.to_string())),
        _ => Ok(()),
    }
}

/// A value none of whose maps has a key twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Once, D::Error> {
        from.deserialize_any(Once)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Once, M::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(M::Error::custom(format!("its header has \"{key}\" twice")));
            }
            seen.insert(key);
            map.next_value::<Once>()?;
        }
        Ok(Once)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Once, S::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }
}
