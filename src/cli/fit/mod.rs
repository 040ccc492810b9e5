//! `lupe fit METHOD`: pictures in, a model file out. A method brings its arguments and its fit; a new one is a file and a line here.

mod anomalydino;
mod caml;
mod classifier;
mod dino;
mod efficientad;
mod patchcore;
mod pmf;
mod prototype;
mod subspacead;
mod support;

use super::session::Session;
use crate::error::Result;
use clap::Subcommand;

/// What `lupe fit` accepts.
#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "METHOD", subcommand_help_heading = "Methods")]
pub struct Args {
    #[command(subcommand)]
    method: FitMethod,
}

#[derive(Debug, Subcommand)]
enum FitMethod {
    /// PatchCore: finds defects after seeing good pictures only
    #[command(
        after_help = "Examples:\n  lupe fit patchcore hazelnut -o hazelnut.lupe\n  lupe fit patchcore good_parts -o part.lupe --preset anomalib --ratio 0.05\n\nTo resume an interrupted fit, run the same command again."
    )]
    Patchcore(Box<patchcore::Args>),
    /// Prototypes: tells classes apart after seeing a few pictures of each
    #[command(
        after_help = "Examples:\n  lupe fit prototype parts -o parts.lupe\n  lupe fit prototype parts -o parts.lupe --distance cosine\n  lupe fit prototype more_parts --add parts.lupe"
    )]
    Prototype(Box<prototype::Args>),
    /// P>M>F before its fine-tuning: prototypes by cosine, also with a released checkpoint
    #[command(
        after_help = "Example:\n  lupe fit pmf parts -o parts.lupe\n\nScale and bias are read from the file given by --weights where it holds them (scale_cls and bias beside backbone.*), else 10 and 0."
    )]
    Pmf(Box<pmf::Args>),
    /// AnomalyDINO: finds defects after one or a few good pictures, by the distance of patches to those of good pictures
    #[command(
        name = "anomalydino",
        after_help = "Examples:\n  lupe fit anomalydino good_parts -o part.lupe --weights dinov2_vits14.facebook\n  lupe fit anomalydino hazelnut -o hazelnut.lupe --weights dinov2_vits14.facebook --shots 4 --mask grid"
    )]
    AnomalyDino(Box<anomalydino::Args>),
    /// SubspaceAD: finds defects after one or a few good pictures, by what is unlike the variation of good patches
    #[command(
        name = "subspacead",
        after_help = "Examples:\n  lupe fit subspacead good_parts -o part.lupe --weights dinov2_vits14.facebook\n  lupe fit subspacead transistor -o transistor.lupe --weights dinov2_vits14.facebook --augment 0"
    )]
    SubspaceAd(Box<subspacead::Args>),
    /// EfficientAD: finds defects by where a trained student does not say what its teacher says
    #[command(
        name = "efficientad",
        after_help = "Examples:\n  lupe fit efficientad hazelnut -o hazelnut.lupe --teacher pdn_s.nelson --penalty imagenette2\n  lupe fit efficientad good_parts -o part.lupe --teacher teacher_medium.pth --penalty none --quick"
    )]
    EfficientAd(Box<efficientad::Args>),
    /// A classifier: a pretrained network with a new last layer, or all of it, trained by cross-entropy on a folder of classes
    #[command(
        after_help = "Examples:\n  lupe fit classifier parts -o parts.lupe\n  lupe fit classifier parts -o parts.lupe --layers all --backbone resnet18 --weights resnet18.pth\n  lupe fit classifier parts -o parts.lupe --validation 0 --epochs 50\n\nWith --layers fc the network stays as it is and no picture is changed: vectors are computed once, and only the last layer is trained. The weights of the epoch with the lowest loss of the kept pictures are written. To resume an interrupted training, run the same command again."
    )]
    Classifier(Box<classifier::Args>),
    /// CAML: a transformer reads a few pictures of each class together with each one that is asked about
    #[command(
        after_help = "Example:\n  lupe fit caml parts -o parts.lupe --weights clip_vitb16.safetensors --checkpoint CAML_CLIP/model.pth\n\nThe model file holds neither the encoder's weights nor the checkpoint: predict and eval take --weights and --checkpoint, too."
    )]
    Caml(Box<caml::Args>),
}

impl Args {
    /// Whether several pictures a step were asked for, and are not halved where memory does not suffice.
    pub fn several_pictures(&self) -> bool {
        matches!(self.method, FitMethod::Classifier(_))
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.method {
        FitMethod::Patchcore(args) => patchcore::run(session, args),
        FitMethod::Prototype(args) => prototype::run(session, args),
        FitMethod::Pmf(args) => pmf::run(session, args),
        FitMethod::AnomalyDino(args) => anomalydino::run(session, args),
        FitMethod::SubspaceAd(args) => subspacead::run(session, args),
        FitMethod::EfficientAd(args) => efficientad::run(session, args),
        FitMethod::Classifier(args) => classifier::run(session, args),
        FitMethod::Caml(args) => caml::run(session, args),
    }
}
