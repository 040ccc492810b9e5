//! What the command line accepts: its commands; the arguments of each are in its own file.

use super::{
    bench, demo, devices, embed, eval, fit, global::Global, help, import, limit, plan, predict, profile, renamed,
};
use super::{shaders, tune, verify, weights};
use clap::{Parser, Subcommand};

/// Finds defects in pictures of manufactured parts, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "lupe", version, disable_help_subcommand = true, max_term_width = 110)]
#[command(
    after_help = "Examples:\n  lupe demo\n  lupe fit patchcore good_parts -o part.lupe\n  lupe predict part.lupe new_pictures -o results\n  lupe help exit-codes"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fits a model on pictures
    #[command(after_help = "Example:\n  lupe fit patchcore good_parts -o part.lupe")]
    Fit(fit::Args),
    /// Scores pictures with a fitted model and draws where they differ from good ones
    #[command(after_help = "Example:\n  lupe predict part.lupe new_pictures -o results --masks --maps=npy")]
    Predict(predict::Args),
    /// Measures a fitted model on labelled pictures
    #[command(after_help = "Example:\n  lupe eval hazelnut.lupe hazelnut -o results")]
    Eval(eval::Args),
    /// Imports a model saved by the official PatchCore or by anomalib; nothing in its files is executed
    #[command(
        after_help = "Examples:\n  lupe import models/mvtec_bottle -o bottle.lupe --weights wide_resnet50_2-95faca4d.pth\n  lupe import model.ckpt -o part.lupe --weights wide_resnet50_2.racm_in1k.safetensors\n\nScores match those of the implementation that fitted the bank. How it was fitted is read from the source; flags fill in what the source does not say."
    )]
    Import(Box<import::Args>),
    /// Shows the training scores of a fitted model, and gives it another limit without fitting again
    #[command(
        after_help = "Examples:\n  lupe limit part.lupe\n  lupe limit part.lupe --rule quantile=0.99\n  lupe limit imported.lupe --rule fixed=31.5,2.8 -o limited.lupe\n\nRules: max is the largest training score, second the second largest, quantile=Q the smallest that a share Q of the training pictures does not exceed; fixed=SCORE,PIXEL states both limits. A picture is rejected if its score is above the limit."
    )]
    Limit(limit::Args),
    /// Computes features of pictures, from any place of a network
    #[command(
        after_help = "Examples:\n  lupe embed part.png\n  lupe embed *.jpg --tap layer2 --tap layer3 -o features.safetensors\n  lupe embed part.png --model resnet18 --weights resnet18.safetensors --tap pool -o feature.npy"
    )]
    Embed(embed::Args),
    /// Finds painted defects on photographs that ship with Lupe: fit, eval, heat maps
    #[command(after_help = "Examples:\n  lupe demo\n  lupe demo -o /tmp/demo --device 0")]
    Demo(demo::Args),
    /// Inspects weights files and fitted models, and converts weights
    #[command(
        after_help = "Examples:\n  lupe weights inspect resnet18.safetensors\n  lupe weights convert resnet18.pth resnet18.safetensors"
    )]
    Weights(weights::Args),
    /// Lists the adapters and which kernels each will run
    #[command(after_help = "Examples:\n  lupe devices --json\n  lupe devices --self-test --device 0")]
    Devices(devices::Args),
    /// Times every dispatch of a network or a fitted model, and compares it with the adapter's limits
    #[command(
        after_help = "Examples:\n  lupe profile resnet18\n  lupe profile part.lupe part.png --html profile.html --trace trace.json\n  lupe profile resnet50_thin --by op --device 0"
    )]
    Profile(profile::Args),
    /// Times whole networks and fitted models: sweeps over models, sizes, batches and devices, and comparisons of two sweeps
    #[command(
        after_help = "Examples:\n  lupe bench --model resnet18,resnet50_thin --batch 1,8 --device 0,1\n  lupe bench --model part.lupe -o before.json\n  lupe bench compare before.json after.json --max-regress 5\n\nEvery measurement runs in its own processes; times run from input in host memory to results in host memory."
    )]
    Bench(bench::args::Bench),
    /// Times the candidates of every node on this adapter and keeps the fastest for later runs
    #[command(
        after_help = "Examples:\n  lupe tune resnet18\n  lupe tune part.lupe --repeats 50\n\nScores stay the same to the last bit: only kernels that sum in the default order are used, unless --fast is given."
    )]
    Tune(tune::Args),
    /// Shows the dispatches, forms, memory slots and FLOPs of a run of a network or a fitted model
    #[command(after_help = "Examples:\n  lupe plan resnet18\n  lupe plan part.lupe --json")]
    Plan(plan::Args),
    /// Compares every dispatch with its reference on the CPU; ends with code 7 at the first difference
    #[command(
        after_help = "Examples:\n  lupe verify resnet50_thin part.png\n  lupe verify part.lupe\n  lupe verify resnet18 --size 64 --device all\n  lupe verify resnet18 --candidate conv_direct"
    )]
    Verify(verify::Args),
    /// Writes every kernel as plain WGSL
    #[command(after_help = "Example:\n  lupe shaders --dump wgsl")]
    Shaders(shaders::Args),
    /// Help on a command, or on exit codes
    #[command(after_help = "Examples:\n  lupe help embed\n  lupe help exit-codes")]
    Help(help::Args),
    /// Says what the commands of earlier versions are called now
    #[command(hide = true, disable_help_flag = true)]
    Patchcore(renamed::Args),
}

impl Command {
    /// Whether the command opens a device, or lists devices.
    pub fn needs_device(&self) -> bool {
        match self {
            // A sweep leaves its devices to its workers.
            Command::Bench(args) => args.sweep.worker.is_some(),
            Command::Import(_) | Command::Limit(_) | Command::Weights(_) | Command::Shaders(_) => false,
            Command::Help(_) | Command::Patchcore(_) => false,
            Command::Fit(_) | Command::Predict(_) | Command::Eval(_) | Command::Embed(_) | Command::Demo(_) => true,
            Command::Devices(_) | Command::Plan(_) | Command::Verify(_) | Command::Profile(_) | Command::Tune(_) => {
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
