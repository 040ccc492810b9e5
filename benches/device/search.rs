//! The part `search`: nearest neighbours and coreset selection, as `cargo bench --bench patchcore` has them.

use super::args::Amount;
use super::context::Context;
use super::md::{Page, list, short, table};
use super::rows::{coreset, knn};
use lupe::Result;
use serde_json::{Value, json};

/// Queries, rows, values, nearest.
const SEARCHES: [[usize; 4]; 4] =
    [[784, 2195, 1024, 1], [784, 10_000, 1536, 1], [784, 10_000, 1536, 9], [784, 100_000, 1536, 9]];

/// Rows, values, picks.
const SELECTIONS: [[usize; 3]; 3] = [[21_952, 128, 2000], [160_000, 128, 500], [300_000, 128, 1000]];

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let (searches, selections) = match context.amount {
        Amount::Full => (SEARCHES.to_vec(), SELECTIONS.to_vec()),
        Amount::Small => (SEARCHES[..2].to_vec(), vec![[21_952, 128, 500]]),
        Amount::Tiny => (vec![[8, 100, 16, 1]], vec![[200, 16, 20]]),
    };
    let gpu = context.gpu()?;
    let (mut found, mut picked) = (vec![], vec![]);
    for sizes in searches {
        context.begin(&format!("nearest of {sizes:?}"));
        let s = knn(&gpu, sizes);
        let flops = 2.0 * (sizes[0] * sizes[1] * sizes[2]) as f64;
        found.push(json!({
            "sizes": s.sizes, "ms": s.median(), "device_ms": s.dispatches_us / 1e3, "gflops": flops / s.dispatches_us / 1e3,
        }));
        context.keep(&json!({"searches": found, "selections": picked}))?;
    }
    for sizes in selections {
        context.begin(&format!("selection of {sizes:?}"));
        let s = coreset(&gpu, sizes);
        picked.push(json!({"sizes": s.sizes, "seconds": s.seconds, "pick_ms": s.pick_ms, "longest": s.longest}));
        context.keep(&json!({"searches": found, "selections": picked}))?;
    }
    Ok(())
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let sizes = |v: &Value| list(v, "/sizes").iter().map(Value::to_string).collect::<Vec<_>>().join(" x ");
    let searches: Vec<[String; 4]> = (list(data, "/searches").iter())
        .map(|s| [sizes(s), short(s, "/ms"), short(s, "/device_ms"), short(s, "/gflops")])
        .collect();
    let selections: Vec<[String; 4]> = (list(data, "/selections").iter())
        .map(|s| [sizes(s), short(s, "/pick_ms"), short(s, "/seconds"), short(s, "/longest")])
        .collect();
    let mut page = Page::default();
    if let Some(s) = list(data, "/searches").get(1) {
        page = page.head(
            format!("nearest neighbours, {}", sizes(s)),
            format!("{} ms, of which kernels {}", short(s, "/ms"), short(s, "/device_ms")),
        );
    }
    if let Some(s) = list(data, "/selections").iter().max_by_key(|s| s.pointer("/sizes/0").and_then(Value::as_u64)) {
        page = page.head(format!("coreset, {}", sizes(s)), format!("{} ms a pick", short(s, "/pick_ms")));
    }
    page.and(table(
        &["queries x rows x values x nearest", "ms, host to host", "kernels alone ms", "GFLOP/s of these"],
        &searches,
    ))
    .and(table(&["rows x values x picks", "ms a pick", "seconds in all", "longest answer, s"], &selections))
}
