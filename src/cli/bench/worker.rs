//! One measurement in a process of its own: cold start and memory are a process's, not a plan's.

use super::args::{Role, Sweep};
use super::row::{Cell, Row};
use crate::cli::output::print;
use crate::cli::session::{Session, held_memory, peak_memory};
use crate::cli::subject::Subject;
use crate::engine::{Asked, Choices, Graph, Options, Plan, Store};
use crate::error::{Error, Result};
use crate::methods::patchcore::score::Scorer;
use crate::tensor::Tensor;
use std::io::Read;
use std::time::Instant;

/// Says on stdout when the first result is there, then, where runs are asked for, what they took.
pub fn run(session: &Session, args: &Sweep, role: Role) -> Result<()> {
    end_with_the_caller();
    let (gpu, (subject, input)) = session.gpu_beside(|| {
        let subject = Subject::open(session, &super::named(args, 0, 0, 0))?;
        let input = subject.input(None)?;
        Ok((subject, input))
    })?;
    let (limit_memory, choices) = (session.limit_memory(&gpu), session.choices(&gpu));
    let tuned = matches!(choices, Choices::Table(_));
    let (graph, asked, store) = (Graph::new(), Asked::default(), Store::new());
    let outputs = subject.graph(&graph, &asked);
    let plan = Plan::new(&gpu, &graph, &outputs, &store, Options { limit_memory, choices });
    let plan = pollster::block_on(plan)?;
    let scorer =
        subject.fitted.as_ref().map(|m| Scorer::new(&gpu, &m.config, &m.geometry, m.bank.clone(), limit_memory));
    let scorer = scorer.map(pollster::block_on).transpose()?;
    let once = || -> Result<()> {
        let values = pollster::block_on(plan.run(&[&input]))?;
        let (Some(scorer), Some(rows)) = (&scorer, values.first()) else { return Ok(()) };
        pictures(rows).iter().try_for_each(|q| pollster::block_on(scorer.run(q, (0, 0))).map(drop))
    };
    once()?;
    print("ready")?;
    if role == Role::Start {
        return Ok(());
    }
    (0..args.warmup).try_for_each(|_| once())?;
    let mut runs_ms = vec![];
    for _ in 0..args.repeats {
        let start = Instant::now();
        once()?;
        runs_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let i = &gpu.info;
    let driver = format!("{} {}", i.driver, i.driver_info);
    let cell = Cell { model: subject.name.clone(), input: subject.input, device: i.title(), driver, width: i.width };
    let scoring = scorer.as_ref().map(|s| (s.plan().facts().map(|f| f.flops).sum::<u64>(), s.plan().bytes()));
    let (score_flops, score_bytes) = scoring.unwrap_or_default();
    let row = Row {
        cell,
        lupe_version: env!("CARGO_PKG_VERSION").into(),
        tuned,
        runs_ms,
        cold_ms: vec![],
        first_cold_ms: 0.0,
        flops: plan.facts().map(|f| f.flops).sum::<u64>() + subject.input[0] as u64 * score_flops,
        device_bytes: plan.bytes() + score_bytes,
        peak_bytes: peak_memory(),
        held_bytes: held_memory(),
        load: None,
    };
    print(&serde_json::to_string(&row).map_err(|e| Error::Output(format!("a measurement cannot be told: {e}")))?)
}

/// Patch vectors `[n, places, d]` of every picture by itself.
fn pictures(rows: &Tensor) -> Vec<Tensor> {
    let [places, d] = [rows.shape.dim(1), rows.shape.dim(2)];
    rows.data.chunks_exact((places * d).max(1)).map(|one| Tensor::new([places, d], one.to_vec())).collect()
}

/// A measurement that nobody waits for ends: the caller holds the other end of stdin as long as it lives.
fn end_with_the_caller() {
    std::thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut [0; 64]), Ok(n) if n > 0) {}
        std::process::exit(130);
    });
}
