//! What the command line accepts: its commands; the arguments of each are in its own file.

use super::{
    bench, classify, data, demo, devices, distill, embed, episodes, eval, experiment, fit, global::Global, help,
    import, limit, plan, predict, profile,
};
use super::{renamed, shaders, tune, verify, weights};
use crate::error::plain;
use clap::{ArgMatches, Parser, Subcommand};

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
        after_help = "Examples:\n  lupe embed part.png\n  lupe embed *.jpg --tap block4 --tap block10 -o features.safetensors\n  lupe embed part.png --model resnet18 --weights resnet18.safetensors --tap pool -o feature.npy"
    )]
    Embed(embed::Args),
    /// Says what pictures show: the likeliest classes by a network with a classifier, ImageNet's by the built-in one
    #[command(
        after_help = "Examples:\n  lupe classify photo.jpg\n  lupe classify *.jpg --top 1 --json\n  lupe classify part.png --model resnet18 --weights parts.pth --labels parts.txt\n\nPictures are prepared as the network expects them: most look at the centre only. Names are taken from --labels; without it, 1000 classes are taken for ImageNet's, and others are numbered."
    )]
    Classify(classify::Args),
    /// Measures few-shot methods on a folder of classes: supports are drawn, learned, and asked about other pictures
    #[command(
        after_help = "Examples:\n  lupe episodes parts --shots 1,5 --queries 15\n  lupe episodes hazelnut/test --classes good,colour --queries all --episodes 100 -o results\n\nEvery draw shuffles the pictures of each class: the first are the supports, smaller ones within larger ones, and the next the queries, which are the same for every number of shots. Same seed, same name of the folder, same names of its pictures: same draws, on every machine. Vectors of pictures are kept in the cache folder, by the content of the files."
    )]
    Episodes(Box<episodes::Args>),
    /// Carries out a study: few-shot learners beside detectors on your data sets, with intervals, plots and a report
    #[command(
        after_help = "Examples:\n  lupe experiment plan study.toml\n  lupe experiment run study.toml -o study\n\nA plan names data sets, tasks with their numbers of shots, and methods with their weights. All methods are asked about the same pictures and learn from the same ones; what is done is kept, so that a run that was stopped goes on, and shards of a plan can run anywhere. docs/experiment.md tells how plans are written and reports are read."
    )]
    Experiment(experiment::Args),
    /// Makes a teacher for `lupe fit efficientad` from any network and any pictures
    #[command(
        after_help = "Examples:\n  lupe distill photographs -o teacher.safetensors --backbone wide_resnet101_2 --weights wide_resnet101_2-32ee1156.pth\n  lupe distill photographs -o teacher.safetensors --narrow 8 --steps 500\n\nAs published it takes 60,000 steps of 16 of ImageNet's pictures; fewer make a weaker teacher."
    )]
    Distill(Box<distill::Args>),
    /// Finds painted defects on photographs that ship with Lupe: fit, eval, heat maps
    #[command(args_conflicts_with_subcommands = true)]
    #[command(
        after_help = "Examples:\n  lupe demo\n  lupe demo -o /tmp/demo --device 0\n  lupe demo few-shot\n  lupe demo study"
    )]
    Demo(demo::Args),
    /// Tells what is wrong with a data set: files that cannot be read, copies, masks that do not fit, labels that contradict each other
    #[command(after_help = "Example:\n  lupe data check parts")]
    Data(data::Args),
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
        after_help = "Examples:\n  lupe profile resnet18\n  lupe profile part.lupe part.png --html profile.html --trace trace.json\n  lupe profile efficientnet_lite0 --by op --device 0"
    )]
    Profile(profile::Args),
    /// Times whole networks and fitted models: sweeps over models, sizes, batches and devices, and comparisons of two sweeps
    #[command(
        after_help = "Examples:\n  lupe bench --model resnet18,efficientnet_lite0 --batch 1,8 --device 0,1\n  lupe bench --model part.lupe -o before.json\n  lupe bench compare before.json after.json --max-regress 5\n\nEvery measurement runs in its own processes; times run from input in host memory to results in host memory."
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
        after_help = "Examples:\n  lupe verify efficientnet_lite0 part.png\n  lupe verify part.lupe\n  lupe verify resnet18 --size 64 --device all\n  lupe verify resnet18 --candidate conv_direct"
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
    /// Whether the command looks for adapters, itself or through its workers.
    pub fn looks_for_devices(&self) -> bool {
        self.needs_device() || matches!(self, Command::Bench(args) if args.command.is_none())
    }

    /// Whether several pictures a run were asked for, and are not halved where memory does not suffice.
    pub fn several_pictures(&self) -> bool {
        match self {
            Command::Plan(plan::Args { subject, .. }) | Command::Verify(verify::Args { subject, .. }) => {
                subject.batch > 1
            }
            Command::Profile(profile::Args { subject, .. }) | Command::Tune(tune::Args { subject, .. }) => {
                subject.batch > 1
            }
            Command::Bench(args) => args.sweep.batch.iter().any(|n| *n > 1),
            Command::Fit(args) => args.several_pictures(),
            _ => false,
        }
    }

    /// Whether the command opens a device, or lists devices.
    pub fn needs_device(&self) -> bool {
        match self {
            // A sweep leaves its devices to its workers.
            Command::Bench(args) => args.sweep.worker.is_some(),
            Command::Experiment(args) => args.needs_device(),
            Command::Import(_) | Command::Limit(_) | Command::Weights(_) | Command::Shaders(_) => false,
            Command::Help(_) | Command::Patchcore(_) | Command::Data(_) => false,
            Command::Fit(_) | Command::Predict(_) | Command::Eval(_) | Command::Embed(_) | Command::Demo(_) => true,
            Command::Classify(_) | Command::Devices(_) | Command::Plan(_) | Command::Verify(_) => true,
            Command::Profile(_) | Command::Tune(_) | Command::Episodes(_) | Command::Distill(_) => true,
        }
    }
}

/// The command with options that take `-1` for a value, not for a flag: what is wrong with it is said by whoever reads the value. Paths
/// that begin like that are written `./-1`.
pub fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let path = clap::value_parser!(std::path::PathBuf).type_id();
    let takes = |arg: &clap::Arg| {
        arg.get_action().takes_values() && !arg.is_positional() && arg.get_value_parser().type_id() != path
    };
    let arg = |arg: clap::Arg| if takes(&arg) { arg.allow_negative_numbers(true) } else { arg };
    command.mut_args(arg).mut_subcommands(with_negative_numbers)
}

/// What is wrong with a list option that names a value twice; values count as they are understood, not as they are written.
pub fn repeated(command: &clap::Command, matches: &ArgMatches) -> Option<String> {
    let inner = matches.subcommand().and_then(|(name, inner)| repeated(command.find_subcommand(name)?, inner));
    inner.or_else(|| {
        command.get_arguments().find_map(|arg| twice(arg.get_long()?, &values(matches, arg.get_id().as_str())))
    })
}

/// The same for values of an option that are given in another way.
pub fn twice(option: &str, values: &[String]) -> Option<String> {
    let again = values.iter().enumerate().find(|(i, v)| values.iter().take(*i).any(|before| before == *v));
    again.map(|(_, value)| format!("--{option}: `{}` is given twice", plain(value)))
}

fn values(matches: &ArgMatches, id: &str) -> Vec<String> {
    fn of<T: ToString + Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<Vec<String>> {
        Some(matches.try_get_many::<T>(id).ok()??.map(ToString::to_string).collect())
    }
    let text = of::<String>(matches, id);
    text.or_else(|| of::<u16>(matches, id)).or_else(|| of::<usize>(matches, id)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line for every list option of every command; an option that has none here fails the test.
    const LISTS: [(&str, &str); 10] = [
        ("episodes --shots", "episodes d --shots 1,05,5"),
        ("episodes --classes", "episodes d --classes a,b,a"),
        ("distill --layers", "distill p -o t --layers block3,block3"),
        ("embed --tap", "embed p.png --tap pool --tap layer2 --tap pool"),
        ("fit subspacead --layers", "fit subspacead d -o m.lupe --layers block7,block8,block7"),
        ("fit patchcore --layers", "fit patchcore d -o m.lupe --layers 2,layer2"),
        ("import --layers", "import d -o m.lupe --layers layer1,2,1"),
        ("bench --model", "bench --model a,b,a"),
        ("bench --size", "bench --size 32,032"),
        ("bench --batch", "bench --batch 1,2,1"),
    ];

    /// The list options below a command.
    fn lists(command: &clap::Command, path: &str) -> Vec<String> {
        let list = |a: &&clap::Arg| {
            let several = a.get_value_delimiter().is_some() || matches!(a.get_action(), clap::ArgAction::Append);
            several && !a.is_positional() && a.get_long().is_some()
        };
        let own = command.get_arguments().filter(list).filter_map(|a| Some(format!("{path} --{}", a.get_long()?)));
        let inner = command.get_subcommands().flat_map(|c| lists(c, format!("{path} {}", c.get_name()).trim_start()));
        own.chain(inner).collect()
    }

    #[test]
    fn fault_10_no_list_option_takes_a_value_twice() {
        let mut command = <Cli as clap::CommandFactory>::command();
        let mut known: Vec<String> = LISTS.iter().map(|l| l.0.to_string()).collect();
        let mut all = lists(&command, "");
        known.sort();
        all.sort();
        assert_eq!(all, known);
        for (option, line) in LISTS {
            let words = ["lupe"].into_iter().chain(line.split(' '));
            let matches = command.try_get_matches_from_mut(words.clone()).expect(line);
            let said = repeated(&command, &matches).expect(line);
            assert!(said.starts_with(option.rsplit(' ').next().expect("a name")), "{said}");
            assert!(said.ends_with("is given twice"), "{said}");
            // The same line without its last value.
            let (once, _) = line.rsplit_once(if line.contains(',') { "," } else { " --tap" }).expect("a list");
            let matches = command.try_get_matches_from_mut(["lupe"].into_iter().chain(once.split(' '))).expect(once);
            assert_eq!(repeated(&command, &matches), None, "{once}");
        }
    }

    #[test]
    fn hunt_a_negative_number_is_a_value_of_every_option() {
        for (line, said) in [
            ("fit patchcore d -o m.lupe --size -1", "invalid value '-1' for '--size"),
            ("fit patchcore d -o m.lupe --batch -1", "-1 is not in 1..=65535"),
            ("fit patchcore d -o m.lupe --limit-ram -5", "expected a number with K, M or G"),
            ("devices --self-test --kernel-limit -1", "invalid value '-1' for '--kernel-limit"),
        ] {
            let mut command = with_negative_numbers(<Cli as clap::CommandFactory>::command());
            let words = ["lupe"].into_iter().chain(line.split(' '));
            let told = command.try_get_matches_from_mut(words).map(drop).expect_err(line).to_string();
            assert!(told.contains(said) && !told.contains("-- -"), "{told}");
        }
        let mut command = with_negative_numbers(<Cli as clap::CommandFactory>::command());
        for line in ["predict m p -o r --maps --maps-outside -1", "fit patchcore d -o m --limit fixed=-1"] {
            command.try_get_matches_from_mut(["lupe"].into_iter().chain(line.split(' '))).expect(line);
        }
        assert!(command.try_get_matches_from_mut(["lupe", "predict", "m", "p", "-o", "-1"]).is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
