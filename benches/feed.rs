//! How many pictures a second reach a device that costs nothing: `cargo bench --bench feed [-- FOLDER ROUNDS]`. Decoding, preprocessing and
//! upload of a folder's pictures (200 copies of those of ../shared/data/hazelnut, or of painted tiles, where none is given), in the way that
//! predict has, and in the way it had before: one thread that decodes, batches put together as numbers and uploaded one after the other.

use lupe::data::dataset::{Sample, pictures};
use lupe::data::demo::parts;
use lupe::data::load::{Arrival, Loading, Stream, read};
use lupe::data::{Picture, Prepared, Preprocess};
use lupe::engine::{Choice, Gpu, Graph, Options, Plan, Store};
use lupe::files::sha256;
use lupe::methods::batched::{Feed, Form};
use lupe::methods::patchcore::{Config, Preset};
use lupe::models::EMBEDDED;
use lupe::report::Canvas;
use lupe::tensor::{Shape, Tensor};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

const BATCH: usize = 4;
const COUNT: usize = 200;

/// 200 pictures: copies of real ones where they are at hand.
fn folder(into: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hazelnut/test");
    let real: Vec<Vec<u8>> = match pictures(&[root], true) {
        Ok(found) => found.samples.iter().map(|s| read(&s.path).expect("readable")).collect(),
        Err(_) => {
            let canvas = |p: &Picture| Canvas { width: p.width, height: p.height, rgb: p.rgb8().into_owned() };
            parts().expect("whole").iter().map(|p| canvas(&p.picture).png().expect("encoded")).collect()
        }
    };
    for i in 0..COUNT {
        let bytes = &real[i % real.len()];
        let ending = if bytes.starts_with(&[0xff, 0xd8]) { "jpg" } else { "png" };
        std::fs::write(into.join(format!("{i:03}.{ending}")), bytes).expect("written");
    }
    into.into()
}

/// A device that costs nothing: what comes in is uploaded, and nothing but one number is computed.
fn stub<'g>(gpu: &'g Gpu, picture: Shape) -> Plan<'g> {
    let graph = Graph::new();
    graph.input("picture", picture);
    let one = graph.input("one", [1]).relu();
    pollster::block_on(Plan::new(gpu, &graph, &[one], &Store::new(), Options::default())).expect("a plan")
}

/// As predict does it: every processor decodes, bytes go up as bytes.
fn now(gpu: &Gpu, samples: &[Sample], preprocess: &Preprocess, size: [usize; 2]) -> usize {
    let feed = Feed::new(preprocess, size);
    let form = if preprocess.gives_bytes() { Form::Bytes } else { Form::Numbers };
    let shape = feed.value(&[], BATCH, form).expect("black ones").shape;
    let (plan, one, mut under) = (stub(gpu, shape), Tensor::zeros([1]), None);
    let mut stream = Stream::open(samples, preprocess, &Loading::default(), 2 * BATCH);
    let mut done = 0;
    loop {
        let ready: Vec<Prepared> = stream
            .by_ref()
            .take(BATCH)
            .filter_map(|a| if let Arrival::Ready(loaded) = a { Some(loaded.input) } else { None })
            .collect();
        let value = feed.value(&ready.iter().collect::<Vec<_>>(), BATCH, form).expect("one size");
        let sent = (!ready.is_empty()).then(|| plan.submit(&[&value, &one]).expect("submitted"));
        if let Some(run) = std::mem::replace(&mut under, sent) {
            plan.collect(run).expect("collected");
        }
        if under.is_none() {
            return done;
        }
        done += ready.len();
    }
}

/// As it was: one thread decodes, numbers are put together and go up.
fn before(gpu: &Gpu, samples: &[Sample], preprocess: &Preprocess, [h, w]: [usize; 2]) -> usize {
    let (plan, one) = (stub(gpu, Shape::from([BATCH, h, w, 3])), Tensor::zeros([1]));
    let (send, receive) = sync_channel::<Vec<Tensor>>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for batch in samples.chunks(BATCH) {
                let load = |s: &Sample| {
                    let bytes = read(&s.path).expect("readable");
                    let hash = sha256(&bytes);
                    assert!(!hash.is_empty());
                    let picture = Picture::decode(&bytes, &s.name, Default::default()).expect("a picture");
                    preprocess.apply(&picture).expect("prepared")
                };
                send.send(batch.iter().map(load).collect()).expect("somebody listens");
            }
        });
        let mut done = 0;
        for batch in receive {
            done += batch.len();
            let each = batch[0].data.len();
            let mut data: Vec<f32> = batch.iter().flat_map(|t| t.data.iter().copied()).collect();
            data.resize(BATCH * each, 0.0);
            let value = Tensor::new([BATCH, h, w, 3], data);
            pollster::block_on(plan.run(&[&value, &one])).expect("a run");
        }
        done
    })
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let rounds = words.get(1).and_then(|w| w.parse().ok()).unwrap_or(5);
    let made = tempfile::tempdir().expect("a folder");
    let folder = words.first().map_or_else(|| folder(made.path()), PathBuf::from);
    let samples = pictures(&[folder], true).expect("pictures").samples;
    let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
    println!("{} pictures in batches of {BATCH}, {} rounds in turns", samples.len(), rounds);
    for preset in [Preset::Official, Preset::Anomalib] {
        let config = Config::new(preset);
        let preprocess = config.preprocess(EMBEDDED);
        let (mut a, mut b) = (vec![], vec![]);
        for _ in 0..rounds {
            for (times, way) in [(&mut a, false), (&mut b, true)] {
                let start = Instant::now();
                let done = match way {
                    false => before(&gpu, &samples, &preprocess, [config.size; 2]),
                    true => now(&gpu, &samples, &preprocess, [config.size; 2]),
                };
                assert_eq!(done, samples.len());
                times.push(samples.len() as f64 / start.elapsed().as_secs_f64());
            }
        }
        let middle = |v: &mut Vec<f64>| {
            v.sort_by(f64::total_cmp);
            v[v.len() / 2]
        };
        let (a, b) = (middle(&mut a), middle(&mut b));
        println!("{preset:?}: before {a:.1}, now {b:.1} pictures a second: {:.2} times as many", b / a);
    }
}
