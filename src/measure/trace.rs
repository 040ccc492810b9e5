//! A profile as a trace for Perfetto and Chrome: the Trace Event Format, complete events in microseconds.

use super::profile::Profile;
use serde_json::{Value, json};

/// What happens on the host around the device's work: name, begin, duration, in microseconds.
pub type Span = (&'static str, f64, f64);

/// The last run: dispatches on the device's track, `host` on the host's; stages follow one another. Before it, on a track of its
/// own, what happened once: names and milliseconds.
pub fn trace(profile: &Profile, host: &[Span], start: &[(&str, f64)], device: &str) -> Value {
    let name = |tid: usize, name: &str| json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": tid, "args": {"name": name}});
    let process = json!({"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "lupe"}});
    let mut events = vec![process, name(1, device), name(2, "host"), name(3, "to the first result")];
    let first = host.iter().map(|span| span.1).fold(0.0, f64::min);
    let mut at = first - start.iter().map(|part| part.1 * 1e3).sum::<f64>();
    for (name, ms) in start {
        events.push(
            json!({"name": name, "cat": "start", "ph": "X", "pid": 1, "tid": 3, "ts": at, "dur": ms * 1e3, "args": {}}),
        );
        at += ms * 1e3;
    }
    let (mut offset, mut end, mut stage) = (0.0, 0.0f64, "");
    for e in &profile.events {
        let Some(row) = profile.rows.get(e.row) else { continue };
        if row.stage != stage {
            (offset, stage) = (end, row.stage);
        }
        end = end.max(offset + e.begin + e.us);
        events.push(json!({
            "name": row.node, "cat": row.op, "ph": "X", "pid": 1, "tid": 1, "ts": offset + e.begin, "dur": e.us,
            "args": {"kernel": row.kernel, "shape": row.shape, "flops": row.flops, "bytes": row.bytes, "stage": row.stage},
        }));
    }
    events.extend(host.iter().map(|(name, begin, us)| {
        json!({"name": name, "cat": "host", "ph": "X", "pid": 1, "tid": 2, "ts": begin, "dur": us, "args": {}})
    }));
    json!({"traceEvents": events, "displayTimeUnit": "ms"})
}
