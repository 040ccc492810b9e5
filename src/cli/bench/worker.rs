//! One measurement in its own process: cold start and memory belong to a process, not to a plan.

use super::args::{Sweep, WorkerTask};
use crate::cli::child::end_with_the_caller;
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::engine::{Choices, Graph, Plan, Store};
use crate::error::{Error, Result};
use crate::measure::measurement::{Cell, Measurement};
use crate::memory::{held_memory, peak_memory};
use crate::tensor::Tensor;
use std::time::Instant;

/// Reports on stdout when the first result is ready, then, if runs are asked for, how long they took.
pub fn run(session: &Session, args: &Sweep, role: WorkerTask) -> Result<()> {
    end_with_the_caller();
    let named = super::named(args, 0, 0, 0);
    let batch = named.batch.into();
    let (gpu, subject) = session.gpu_beside(|| named.open(session))?;
    let (options, stage) = (session.options(&gpu), subject.predict_stage(batch, None, &gpu.caps)?);
    let tuned = matches!(options.choices, Choices::Table(_));
    let (graph, store) = (Graph::new(), Store::new());
    let plan = pollster::block_on(Plan::new(&gpu, &graph, &(stage.build)(&graph), &store, options))?;
    let inputs: Vec<&Tensor> = stage.inputs.iter().collect();
    let once = || -> Result<()> { pollster::block_on(plan.run(&inputs)).map(drop) };
    once()?;
    print("ready")?;
    if role == WorkerTask::Start {
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
    let cell = Cell { model: named.model, input: subject.input(batch), device: i.title(), driver, width: i.width };
    let row = Measurement {
        cell,
        lupe_version: env!("CARGO_PKG_VERSION").into(),
        tuned,
        runs_ms,
        cold_ms: vec![],
        first_cold_ms: 0.0,
        flops: plan.facts().map(|f| f.flops).sum(),
        device_bytes: plan.bytes(),
        peak_bytes: peak_memory(),
        held_bytes: held_memory(),
        load: None,
        processors: None,
    };
    print(&serde_json::to_string(&row).map_err(|e| Error::Output(format!("cannot write a measurement: {e}")))?)
}
