//! The index file of FAISS that the official PatchCore writes: rows as they are, compared by squared Euclidean distance.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Bytes before the rows.
const HEADER: usize = 45;

/// How to convert any index to the one kind that can be read.
const FLAT: &str = "convert it where it was written: flat = faiss.IndexFlatL2(index.d); \
                    flat.add(index.reconstruct_n(0, index.ntotal)); faiss.write_index(flat, file)";

/// The rows `[n, d]` of a flat index by squared Euclidean distance; `origin` is what messages call the file. Layout, little-endian: the
/// letters `IxF2`, `i32` d, `i64` n, two unused `i64`, `u8` 1 for trained, `i32` 1 for the distance, `u64` n d, then n d `f32`.
///
/// # Errors
/// [`Error::Weights`] for another kind of index or distance, and for a file whose lengths disagree.
pub fn read(bytes: &[u8], origin: &str) -> Result<Tensor> {
    rows(bytes).map_err(|what| Error::Weights(vec![format!("{origin}: {what}")]))
}

fn rows(bytes: &[u8]) -> std::result::Result<Tensor, String> {
    let kind = bytes.first_chunk::<4>().ok_or_else(|| format!("has {} bytes and is not a FAISS index", bytes.len()))?;
    if kind != b"IxF2" {
        return Err(refusal(kind));
    }
    let cut = || format!("is cut off within its header of {HEADER} bytes; copy it again");
    let head = bytes.first_chunk::<HEADER>().ok_or_else(cut)?;
    let field = |at: usize, n: usize| head.iter().skip(at).take(n).rev().fold(0, |v, &b| v << 8 | u64::from(b));
    let (d, n, trained, metric, count) = (field(4, 4), field(8, 8), field(32, 1), field(33, 4), field(37, 8));
    if metric != 1 {
        return Err(format!("compares rows by FAISS's distance number {metric}, expected 1, the squared L2; {FLAT}"));
    }
    // Both are far below any overflow, and no device can number more.
    if !(1..=1 << 20).contains(&d) || !(1..=1 << 32).contains(&n) || trained != 1 {
        return Err(format!("claims {n} rows of {d} values, which is impossible for a bank"));
    }
    let (want, have) = (HEADER as u64 + 4 * n * d, bytes.len() as u64);
    if count != n * d {
        return Err(format!(
            "has {n} rows of {d} values but claims {count} values in total: it is damaged, copy it again"
        ));
    }
    if have != want {
        let what = if have < want { "is cut off" } else { "is too long" };
        return Err(format!(
            "should have {want} bytes for {n} rows of {d} values, but {what}: {have} bytes; copy it again"
        ));
    }
    let rest = bytes.get(HEADER..).unwrap_or_default();
    let values = rest.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(Tensor::new([n as usize, d as usize], values))
}

/// What four letters say about a file that cannot be read.
fn refusal(kind: &[u8; 4]) -> String {
    let name = kind.escape_ascii();
    let what = match kind {
        b"IxFI" => "compares rows by their inner product",
        b"IxFl" => "compares rows by another distance",
        [b'I', b'w' | b'v', ..] => "stores its rows in inverted lists",
        [b'I', b'H', ..] => "is a graph",
        [b'I', b'x', ..] => "does not store its rows unchanged",
        _ => return format!("begins with \"{name}\", so it is not a FAISS index"),
    };
    format!("is an index of kind {name}, which {what}; only a flat one by squared L2, IxF2, can be read; {FLAT}")
}
