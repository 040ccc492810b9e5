//! meganeura as a worker: the ResNets it brings, with Lupe's weights, on Vulkan through blade.

use meganeura::data::safetensors::SafeTensorsModel;
use meganeura::models::resnet;
use meganeura::{CoopPolicy, Graph, Mode, Session, SessionConfig, SessionOptions, build, init_gpu_context};
use peers::{Result, Task};
use std::sync::Arc;

#[path = "../../rs/src/lib.rs"]
#[allow(dead_code)]
mod peers;

const CLASSES: usize = 1000;

fn main() -> Result<()> {
    let task = Task::new()?;
    let name = task.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (mut graph, batch) = (Graph::new(), task.shape[0]);
    let logits = match name.split_once("_b") {
        Some(("resnet18", _)) => resnet::build_graph(&mut graph, batch as u32),
        Some(("resnet50", _)) => resnet::build_resnet50(&mut graph, batch as u32),
        _ => return Err(format!("meganeura brings no network {name}").into()),
    };
    graph.set_outputs(vec![logits]);
    let mut session = open(&graph)?;
    let weights = SafeTensorsModel::load(task.model.with_extension("safetensors"))?;
    load(&mut session, &weights)?;
    task.serve(|| {
        session.set_input("image", &task.x);
        session.step();
        session.wait();
        Ok(session.read_output(batch * CLASSES))
    })
}

/// A session for inference in f32, as every other system runs: a card whose matrix units take only halves does without them.
fn open(graph: &Graph) -> Result<Session> {
    let gpu = init_gpu_context().map_err(|e| format!("meganeura finds no device that it can use: {e:?}"))?;
    let halves_only = gpu.capabilities().cooperative_matrix.f32_tile == 0;
    let coop = if halves_only { CoopPolicy::Disabled } else { CoopPolicy::Auto };
    let (runtime, gpu) = (SessionOptions { coop, ..Default::default() }, Arc::new(gpu));
    let config = || SessionConfig {
        mode: Mode::Inference,
        gpu: Some(gpu.clone()),
        runtime: runtime.clone(),
        ..Default::default()
    };
    // On Mesa 22.3.6's software driver a device's first dispatch does nothing: ResNet-50 lost its first layer, in its first run only.
    build(&one_dispatch(), config()).0.step();
    Ok(build(graph, config()).0)
}

fn one_dispatch() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", &[1]);
    let y = graph.relu(x);
    graph.set_outputs(vec![y]);
    graph
}

/// Weights by meganeura's names: a convolution's bias is called after the normalization that is folded into it.
fn load(session: &mut Session, weights: &SafeTensorsModel) -> Result<()> {
    for name in weights.tensor_info().keys() {
        let values = match name.as_str() {
            "fc.weight" => weights.tensor_f32_transposed(name)?,
            _ => weights.tensor_f32(name)?,
        };
        let folded = name.strip_suffix(".bias").filter(|layer| *layer != "fc");
        let theirs = folded.map(|layer| layer.replace("conv", "bn").replace("downsample.0", "downsample.1"));
        session.set_parameter(&theirs.map_or(name.clone(), |layer| format!("{layer}.fused_bias")), &values);
    }
    Ok(())
}
