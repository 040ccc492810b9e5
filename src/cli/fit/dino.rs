//! What `lupe fit anomalydino` and `lupe fit subspacead` share.

use crate::cli::global::bytes;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::subject::{WeightsArgs, say_notes};
use crate::cli::working::{WorkArgs, files_of};
use crate::data::dataset::{Counted, Dataset, reason};
use crate::error::{Error, Result};
use crate::memory::log_peak;
use crate::methods::dino::{Config, Dino, ENOUGH, FitOptions, Good, Learned, NETWORK, Report, Times, fit, views};
use crate::methods::{Fitted, LimitRule, limit};
use crate::models::{self, Network};
use crate::outputs::Inputs;
use crate::watch::Watch;
use crate::weights::Weights;
use crate::weights::catalog::published;
use serde_json::json;
use std::path::PathBuf;

/// What both accept.
#[derive(Debug, clap::Args)]
pub struct FewArgs {
    /// Good pictures: a folder of them, MVTec AD layout, good/ and defect folders, or a .csv
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    output: PathBuf,
    /// Network: a vision transformer
    #[arg(long, default_value = NETWORK, value_name = "NAME")]
    pub backbone: String,
    /// Its weights, safetensors or .pth
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Store only the backbone's name and hash in the model, not its weights
    #[arg(long)]
    no_embed_backbone: bool,
    /// Fit on K good pictures only: the first in the order of their names, unless --seed says otherwise [default: all]
    #[arg(long, value_name = "K")]
    shots: Option<usize>,
    /// Takes the good pictures from number N times K on, and draws other angles where angles are drawn
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// How the limit follows from the scores of at least three good pictures: max, second, quantile=0.99, fixed=SCORE or fixed=SCORE,PIXEL
    #[arg(long, default_value = "max", value_name = "RULE")]
    limit: LimitRule,
    /// Maximum memory for the tokens of good pictures, e.g. 4G [default: 60 % of free memory]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
    #[command(flatten)]
    work: WorkArgs,
}

impl FewArgs {
    /// The network and its weights.
    ///
    /// # Errors
    /// [`Error::Usage`] that says which file to get where none is named; otherwise as [`models::open`].
    fn opened(&self, session: &Session) -> Result<(&'static Network, Weights)> {
        let name = models::named(&self.backbone)?.name;
        let file = self.choice.of(self.weights.as_deref());
        if file.is_none() && name != models::EMBEDDED.name {
            let entry = published()?.into_iter().find(|p| p.network == name);
            let get = entry.map_or(String::new(), |p| {
                let (entry, file) = (&p.name, p.file.as_deref().unwrap_or("its file"));
                format!("; `lupe weights pull {entry}` gets {file}, and --weights {entry} takes it from there")
            });
            return Err(Error::Usage(format!("--weights is required: the weights of {name} are not built in{get}")));
        }
        let opened = models::open(name, file.as_ref())?;
        say_notes(session, opened.1.notes());
        Ok(opened)
    }

    /// Runs the fit that the choices describe.
    pub fn run(&self, session: &Session, choices: impl Fn(&Network, &Weights) -> Result<Config>) -> Result<()> {
        let set = Dataset::open(&self.data)?.to_fit(self.work.load.all)?;
        let given = set.train.len();
        let set = match self.shots {
            Some(shots) => set.shots(shots, self.seed)?,
            None => set,
        };
        set.notes.iter().for_each(|note| session.say(note));
        let inputs = Inputs::of(files_of(&set, &self.data).iter().chain(&self.weights));
        session.outputs.model(&self.output, &inputs)?;
        let (network, weights) = self.opened(session)?;
        let config = Config { seed: self.seed, ..choices(network, &weights)? };
        let good = Good { set: &set, network, weights: &weights };
        let limit_ram = Some(session.limit_ram(self.limit_ram));
        good.check(&config, limit_ram)?;
        session.watch_for_interrupts()?;
        let gpu = session.gpu()?;
        session.say(&format!("device    {}", gpu.info.describe()));
        if self.shots.is_some() {
            let (first, last) = (set.train.first(), set.train.last());
            let name =
                |s: Option<&crate::data::dataset::Sample>| s.map_or(String::new(), |s| crate::error::plain(&s.name));
            let n = set.train.len();
            session.say(&format!("taken     {n} of {given} good pictures, from {} to {}", name(first), name(last)));
        }
        let options = FitOptions {
            run: session.run_options(&gpu, self.work.batch),
            loading: self.work.loading(),
            limit_ram,
            no_embed_backbone: self.no_embed_backbone,
            limit_rule: self.limit,
        };
        let (fitted, went) = pollster::block_on(fit(&gpu, good, &config, &options, session))?;
        fitted.save(&self.output)?;
        log_peak();
        let left_out = fitted.file.left_out.iter().map(|left| (reason::SAME, left.picture.name.as_str()));
        let counted = set.fitted(left_out, went.missed.failed.len());
        self.report(session, (&fitted, &went), &counted)?;
        session.say(&counted.to_string());
        went.missed.ended(set.train.len())
    }

    fn report(&self, session: &Session, (fitted, went): (&Dino, &Report), counted: &Counted) -> Result<()> {
        let (file, trained) = (&fitted.file, fitted.training());
        let Times { features, learning, scoring } = went.times;
        let (n, d) = (file.pictures.len(), file.learned.dim());
        let (rows, kept) = match &file.learned {
            Learned::Bank { rows, .. } => (Some(rows.shape.dim(0)), None),
            Learned::Subspace(s) => (None, Some(s.components.shape.dim(0))),
        };
        if session.json {
            return print(
                &json!({
                    "model": self.output, "pictures": n, "views": n * file.config.view_count(), "bank": rows, "dimensions": kept,
                    "limit": fitted.limit(), "pixel_limit": fitted.map_limit(),
                    "limit_rule": fitted.limit_rule().map(|rule| rule.to_string()), "apart": limit::apart_names(&trained),
                    "left_out": file.left_out, "counts": counted.json(),
                    "seconds": {"features": features, "learning": learning, "scoring": scoring},
                })
                .to_string(),
            );
        }
        let learned = match (rows, kept) {
            (Some(rows), _) => format!("bank      {rows} tokens of {d} values"),
            (_, kept) => format!("subspace  {} of {d} dimensions", kept.unwrap_or_default()),
        };
        let limit = limit::words(fitted)
            .unwrap_or_else(|| format!("none: it takes {ENOUGH} good pictures, each scored by what the others teach"));
        let chart = limit::drawn(fitted).map_or(String::new(), |chart| chart + "\n\n");
        let apart = limit::apart_words(&trained).map_or(String::new(), |words| format!("\napart     {words}"));
        let (model, views) = (quoted(&self.output), views(&file.config));
        print(&format!(
            "{chart}wrote     {model}\n{learned}, of {n} pictures, {views}\nlimit     {limit}{apart}\ntime      {features:.1} s features, {learning:.1} s learning, {scoring:.1} s scoring\n\nNext: lupe predict {model} PICTURES -o results"
        ))
    }
}
