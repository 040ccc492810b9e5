//! A study on a device: who takes part, what is to be done, and what came of it, kept after every unit.

mod cost;
mod detect;
mod journal;
mod learn;
mod limits;
mod open;
mod study;
mod work;

pub use cost::{Cost, Estimate};
pub use journal::{Journal, OUTCOMES, TIMING, Units, content, journalled};
pub use open::{Found, Opened, Opener, Resolve};
pub use study::{Member, Study, Unit};
pub use work::{Shard, Work};

use crate::error::{Result, plain};

impl Work<'_> {
    /// Does all units of its share that are not done yet, in their order.
    ///
    /// # Errors
    /// Those of the methods; the watcher's interrupt. What was done until then stays done.
    pub async fn run(&self, study: &Study, resolve: &Resolve<'_>) -> Result<()> {
        let opener = Opener { grid: &study.grid, resolve };
        for (number, member) in study.members.iter().enumerate() {
            let Some(participant) = study.participant(member) else { continue };
            let waiting = (0..study.sets.len()).any(|set| !self.open_units(study, (number, set)).is_empty());
            if !waiting {
                continue;
            }
            let Found::Opened(opened) = opener.open(participant)? else { continue };
            let place = (number + 1, study.members.len());
            self.watch.say(&format!("method    {} ({} of {})", plain(&participant.name), place.0, place.1));
            let (member, playing) = ((number, member), (participant, &opened));
            match &opened {
                Opened::Vectors { .. } => self.prototypes(study, member, playing).await?,
                Opened::Tuned { .. } => self.tuned(study, member, playing).await?,
                Opened::Caml(_) => self.caml(study, member, playing).await?,
                Opened::PatchCore { .. } | Opened::Dino { .. } | Opened::EfficientAd { .. } => {
                    self.detector(study, member, playing).await?;
                }
                Opened::Chain => self.chain(study, member, participant, &opener).await?,
            }
        }
        Ok(())
    }
}
