//! Painted defects: faint, with soft edges, each with the exact mask of the pixels that it changes.

use super::{Mask, Picture};
use crate::random::uniform;
use std::f64::consts::{PI, TAU};

/// A kind of defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// Pressed in: one flank in the shadow, the other in the light.
    Dent,
    /// Something else lies on it.
    Foreign,
    /// A thin bent line, a little brighter.
    Scratch,
    /// Wiped over: what was there is smeared in one direction, under a thin bright film.
    Smear,
    /// A darker spot, dried from its middle; the texture shows through.
    Stain,
}

/// Every kind.
pub(super) const DEFECTS: [Defect; 5] = [Defect::Dent, Defect::Foreign, Defect::Scratch, Defect::Smear, Defect::Stain];

impl Defect {
    /// Its folder's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Defect::Dent => "dent",
            Defect::Foreign => "foreign",
            Defect::Scratch => "scratch",
            Defect::Smear => "smear",
            Defect::Stain => "stain",
        }
    }
}

/// The picture with a defect, whose place and shape `seed` decides, and the pixels that differ. Foreign bodies are cut from `body`.
pub(super) fn paint(clean: &Picture, defect: Defect, body: &Picture, seed: &str) -> (Picture, Mask) {
    let mut dice = Dice::new(&format!("{}.{seed}", defect.name()));
    match defect {
        Defect::Dent => dent(clean, &mut dice),
        Defect::Foreign => foreign(clean, body, &mut dice),
        Defect::Scratch => scratch(clean, &mut dice),
        Defect::Smear => smear(clean, &mut dice),
        Defect::Stain => stain(clean, &mut dice),
    }
}

fn dent(clean: &Picture, dice: &mut Dice) -> (Picture, Mask) {
    let blob = Blob::new(clean, dice, [26.0, 34.0], 0.08);
    blend(clean, |x, y, value| {
        // Light comes from the upper left.
        let toward = ((x - blob.x) + (y - blob.y)) / (blob.radius * 2f64.sqrt());
        let light = (toward * 1.6).clamp(-1.0, 1.0);
        (blob.depth(x, y), 0.45, value * (1.0 + 0.7 * light) + 40.0 * light)
    })
}

fn foreign(clean: &Picture, body: &Picture, dice: &mut Dice) -> (Picture, Mask) {
    let blob = Blob::new(clean, dice, [22.0, 28.0], 0.2);
    // Neither brighter nor darker than the part: only its texture gives it away.
    let mean = |p: &Picture| p.rgb8().iter().map(|&v| f64::from(v)).sum::<f64>() / p.rgb8().len() as f64;
    let [ours, theirs] = [clean, body].map(mean);
    blend(clean, |x, y, _| (blob.depth(x, y), 0.75, ours + 0.8 * (gray(body, x, y) - theirs)))
}

fn scratch(clean: &Picture, dice: &mut Dice) -> (Picture, Mask) {
    let size = clean.width as f64;
    let (x, y) = (size * dice.between(0.35, 0.65), size * dice.between(0.35, 0.65));
    let (turn, half, bend) = (dice.between(0.0, PI), size * dice.between(0.25, 0.3), size * dice.between(-0.08, 0.08));
    let (sin, cos) = turn.sin_cos();
    blend(clean, |px, py, value| {
        // Along the line from -1 to 1, and across it in pixels.
        let along = ((px - x) * cos + (py - y) * sin) / half;
        let across = (py - y) * cos - (px - x) * sin - bend * (1.0 - along * along);
        let width = 3.6 * (1.0 - along * along).max(0.0).powf(0.3);
        let depth = if width > 0.0 { 1.0 - across.abs() / width } else { 0.0 };
        (depth, 0.5, value + 70.0)
    })
}

fn smear(clean: &Picture, dice: &mut Dice) -> (Picture, Mask) {
    const REACH: i32 = 30;
    let blob = Blob::new(clean, dice, [34.0, 42.0], 0.15);
    let (sin, cos) = dice.between(0.0, PI).sin_cos();
    blend(clean, |x, y, _| {
        let at = |step: i32| gray(clean, x + f64::from(step) * cos, y + f64::from(step) * sin);
        let mean = (-REACH..=REACH).map(at).sum::<f64>() / f64::from(2 * REACH + 1);
        (blob.depth(x, y), 0.95, mean + 20.0)
    })
}

fn stain(clean: &Picture, dice: &mut Dice) -> (Picture, Mask) {
    let blob = Blob::new(clean, dice, [28.0, 36.0], 0.15);
    blend(clean, |x, y, value| {
        let depth = blob.depth(x, y);
        (depth, 0.6 * (1.0 - 0.35 * (depth * 2.0).min(1.0)), value * 0.25 + 10.0)
    })
}

/// Asks `at` for every pixel how deep inside the defect it is (0 at the border, 1 in the middle; less is outside), how opaque the defect
/// is there at most, and the value that it blends towards.
fn blend(clean: &Picture, at: impl Fn(f64, f64, f64) -> (f64, f64, f64)) -> (Picture, Mask) {
    /// Depth at which the edge has become as opaque as the inside.
    const EDGE: f64 = 0.5;
    let (mut rgb, mut bits) = (vec![], vec![]);
    for (i, pixel) in clean.rgb8().chunks_exact(3).enumerate() {
        let old = pixel.first().copied().unwrap_or_default();
        let (depth, opacity, target) = at((i % clean.width) as f64, (i / clean.width) as f64, old.into());
        let soft = (depth / EDGE).clamp(0.0, 1.0);
        let share = opacity * (0.2 + 0.8 * soft * soft * (3.0 - 2.0 * soft));
        let new = (f64::from(old) * (1.0 - share) + target * share).round() as u8;
        let new = match (depth > 0.0, new == old) {
            (false, _) => old,
            (true, false) => new,
            // Every pixel of the defect differs, if only by one.
            (true, true) => old ^ 1,
        };
        rgb.extend([new; 3]);
        bits.push(depth > 0.0);
    }
    let (width, height) = (clean.width, clean.height);
    (Picture::new(width, height, rgb), Mask { width, height, bits, unsure: 0 })
}

/// The value at a place; beyond the border that of the nearest pixel.
fn gray(picture: &Picture, x: f64, y: f64) -> f64 {
    let near = |v: f64, size: usize| (v.round().max(0.0) as usize).min(size.saturating_sub(1));
    let at = near(y, picture.height) * picture.width + near(x, picture.width);
    picture.rgb8().get(at * 3).copied().unwrap_or_default().into()
}

/// A rounded shape with a wavy border.
struct Blob {
    x: f64,
    y: f64,
    radius: f64,
    /// Height and phase of the waves with 2, 3, ... crests.
    waves: Vec<(f64, f64)>,
}

impl Blob {
    fn new(picture: &Picture, dice: &mut Dice, [least, most]: [f64; 2], rough: f64) -> Blob {
        let (width, height) = (picture.width as f64, picture.height as f64);
        let (x, y) = (width * dice.between(0.3, 0.7), height * dice.between(0.3, 0.7));
        let radius = dice.between(least, most);
        let waves = (0..4).map(|_| (dice.between(0.3, 1.0) * rough, dice.between(0.0, TAU))).collect();
        Blob { x, y, radius, waves }
    }

    /// 0 at the border, 1 in the middle, negative outside.
    fn depth(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.x, y - self.y);
        let angle = dy.atan2(dx);
        let wave = |(i, &(height, phase)): (usize, &(f64, f64))| height * ((i + 2) as f64 * angle + phase).cos();
        let border = self.radius * (1.0 + self.waves.iter().enumerate().map(wave).sum::<f64>());
        1.0 - dx.hypot(dy) / border.max(1.0)
    }
}

/// Random numbers in order, from the stream of a name.
struct Dice {
    stream: String,
    drawn: u64,
}

impl Dice {
    fn new(seed: &str) -> Dice {
        Dice { stream: seed.into(), drawn: 0 }
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.drawn += 1;
        low + (high - low) * uniform(&self.stream, self.drawn - 1)
    }
}
