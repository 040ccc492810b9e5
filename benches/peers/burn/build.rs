//! The networks as Rust, from the ONNX models that every peer runs; the folder comes by the environment.

use std::path::PathBuf;

const NETWORKS: [&str; 10] = [
    "resnet18_b1",
    "resnet18_b8",
    "resnet50_b4",
    "wide_resnet50_2",
    "wide_resnet50_2_layer3",
    "pdn_s",
    "conv64",
    "conv128",
    "conv256",
    "conv512",
];
const TRANSFORMERS: [&str; 2] = ["vit_s16_b1", "vit_s14_448"];

fn main() {
    println!("cargo:rerun-if-env-changed=PEERS_MODELS");
    let folder = PathBuf::from(std::env::var("PEERS_MODELS").expect("PEERS_MODELS: the folder of the ONNX models"));
    let networks: &[&str] = if cfg!(feature = "vit") { &TRANSFORMERS } else { &NETWORKS };
    for name in networks {
        let model = folder.join(format!("{name}.onnx"));
        println!("cargo:rerun-if-changed={}", model.display());
        burn_onnx::ModelGen::new().input(&model.to_string_lossy()).out_dir("model/").run_from_script();
    }
}
