//! What anomalib did to pictures before a network saw them: resized them to a square, cut out its centre or not, normalised them. A
//! checkpoint says so in one of three ways, or not at all.

use super::{Given, agreed};
use crate::data::{ChannelOrder, Preprocess};
use crate::error::{Error, Result};
use crate::models;
use crate::weights::pth::values::Pickled;

/// How pictures were prepared.
pub struct Look {
    /// Edge of the square to which they were resized.
    pub resize: usize,
    /// Edge of the network's input.
    pub size: usize,
    /// Whether that is the centre of the square.
    pub crop: bool,
    /// Whether the sizes are anomalib's defaults: neither the checkpoint nor the user states them.
    pub assumed: bool,
}

/// anomalib's default: the square's edge, and the crop's for that.
const RESIZE: usize = 256;

fn centre(resize: usize) -> usize {
    resize * 7 / 8
}

/// What a checkpoint states of how pictures were prepared, or what the user does. The former is, in this order, a description, the
/// transform of anomalib 1.x, the pre-processor of 2.x, and whether there was one at all.
///
/// # Errors
/// [`Error::Weights`] for what is not supported, [`Error::Usage`] for a flag that is missing or contradicts the checkpoint.
pub fn look(source: &str, stated: [Option<&Pickled>; 4], network: &str, given: &Given) -> Result<Look> {
    let [described, old, object, enabled] = stated;
    if [object, enabled].contains(&Some(&Pickled::Bool(false))) {
        let what =
            "was fitted without a pre-processor, on pictures as they were; only such as were resized can be imported";
        return Err(Error::Weights(vec![format!("{source}: {what}")]));
    }
    let inner = object.and_then(|o| o.get("_modules").unwrap_or(o).get("transform"));
    let known = |t: &&Pickled| !matches!(t, Pickled::None | Pickled::Bool(_));
    let found = [described, old, inner].into_iter().flatten().find(known);
    if let Some(transform) = found.filter(|t| !steps(t).is_empty()) {
        return agreeing(read(source, transform, network)?, given);
    }
    let unknown = found.or(object.filter(known)).is_some();
    match (given.crop, unknown) {
        (Some(crop), false) => Ok(told(crop, given)?),
        (Some(crop), true) if given.size.is_some() => Ok(told(crop, given)?),
        (_, true) => Err(Error::Usage(format!(
            "{source}: was fitted with a pre-processor that it does not describe: give --size, the edge of the network's input, and \
             --crop or --no-crop; if anything else was done to the pictures, the bank cannot be used"
        ))),
        (None, false) => Err(Error::Usage(format!(
            "{source}: does not state how pictures were prepared: give --crop if it is of anomalib 2.0, whose default was the centre \
             ({} of {RESIZE}), --no-crop if it is of 2.1 to 2.6, whose default is the whole picture",
            centre(RESIZE)
        ))),
    }
}

/// What the user says.
fn told(crop: bool, given: &Given) -> Result<Look> {
    let assumed = given.size.is_none() && given.resize.is_none();
    if crop {
        let resize = given.resize.unwrap_or(RESIZE);
        return Ok(Look { resize, size: given.size.unwrap_or(centre(resize)), crop, assumed });
    }
    whole(given)?;
    Ok(Look { resize: RESIZE, size: given.size.unwrap_or(RESIZE), crop, assumed })
}

fn whole(given: &Given) -> Result<()> {
    let what = "--resize does not apply: the bank was fitted on whole pictures; --size sets their edge";
    if given.resize.is_some() { Err(Error::Usage(what.into())) } else { Ok(()) }
}

/// What the checkpoint says, if the user does not contradict it.
fn agreeing(look: Look, given: &Given) -> Result<Look> {
    if let Some(crop) = given.crop.filter(|crop| *crop != look.crop) {
        let flag = if crop { "--crop" } else { "--no-crop" };
        let was = match look.crop {
            true => format!("the centre {0}x{0} of pictures resized to {1}x{1}", look.size, look.resize),
            false => "whole pictures".into(),
        };
        return Err(Error::Usage(format!("{flag}: the bank was fitted on {was}; leave the flag out")));
    }
    agreed("--size", given.size, Some(look.size))?;
    match look.crop {
        true => drop(agreed("--resize", given.resize, Some(look.resize))?),
        false => whole(given)?,
    }
    Ok(look)
}

/// The steps of a transform, described or as an object; none if it is neither.
fn steps(transform: &Pickled) -> &[Pickled] {
    let one = std::slice::from_ref(transform);
    let inner = argument(transform, "transforms").and_then(Pickled::items);
    if class(transform).is_empty() { &[] } else { inner.unwrap_or(one) }
}

/// What was done, if that is resizing to a square, a centre crop or none, and the network's usual normalisation.
fn read(source: &str, transform: &Pickled, network: &str) -> Result<Look> {
    let fail = |what: String| Error::Weights(vec![format!("{source}: its pictures {what}")]);
    let steps = steps(transform);
    let classes: Vec<&str> = steps.iter().map(class).collect();
    let (resize, crop, normalize) = match (steps, classes.as_slice()) {
        ([resize, normalize], ["Resize", "Normalize"]) => (resize, None, normalize),
        ([resize, crop, normalize], ["Resize", "CenterCrop" | "ExportableCenterCrop", "Normalize"]) => {
            (resize, Some(crop), normalize)
        }
        _ => {
            let all = classes.join(", ");
            let what = "only Resize, CenterCrop and Normalize are supported, in this order";
            return Err(fail(format!("went through {}; {what}", all.escape_debug())));
        }
    };
    usual(normalize, network).map_err(fail)?;
    let smooth = argument(resize, "antialias") == Some(&Pickled::Bool(true))
        && argument(resize, "interpolation").and_then(word) == Some("bilinear")
        && argument(resize, "max_size").is_none_or(|m| *m == Pickled::None);
    let square = "were not resized to a square, bilinear and antialiased; nothing else is supported";
    let edge = square_of(resize).filter(|_| smooth).ok_or_else(|| fail(square.into()))?;
    let Some(crop) = crop else { return Ok(uncropped(edge)) };
    let size = square_of(crop).filter(|size| *size <= edge);
    let size = size.ok_or_else(|| fail("were not cropped to a square inside; nothing else is supported".into()))?;
    // A crop of everything is none.
    Ok(if size < edge { Look { resize: edge, size, crop: true, assumed: false } } else { uncropped(edge) })
}

/// The edge before a crop means nothing without one: it stays the default.
fn uncropped(size: usize) -> Look {
    Look { resize: RESIZE, size, crop: false, assumed: false }
}

/// Whether a normalisation is the network's own.
fn usual(normalize: &Pickled, network: &str) -> std::result::Result<(), String> {
    let Some(own) = models::find(network).map(|m| m.preprocess) else { return Ok(()) };
    let near = |key: &str, own: [f32; 3]| {
        let stated = argument(normalize, key).and_then(Pickled::items).unwrap_or_default();
        let close = |(v, own): (&Pickled, f32)| v.float().is_some_and(|v| (v - f64::from(own)).abs() < 1e-4);
        stated.len() == own.len() && stated.iter().zip(own).all(close)
    };
    let rgb = |p: &Preprocess| p.order == ChannelOrder::Rgb && p.divisor == 255.0;
    match rgb(&own) && near("mean", own.mean) && near("std", own.std) {
        true => Ok(()),
        false => Err(format!("were normalised with other means and deviations than those of {network}")),
    }
}

/// The edge of a square that a step states as its size.
fn square_of(step: &Pickled) -> Option<usize> {
    let sizes = argument(step, "size").and_then(Pickled::items)?;
    match sizes.iter().map(Pickled::number).collect::<Option<Vec<_>>>()?.as_slice() {
        [h, w] if h == w => Some(*h),
        _ => None,
    }
}

/// An argument of a described transform, or the attribute of the same name of an object.
fn argument<'v>(transform: &'v Pickled, name: &str) -> Option<&'v Pickled> {
    transform.get("init_args").unwrap_or(transform).get(name)
}

/// A text, or the value of an enumeration that is one.
fn word(value: &Pickled) -> Option<&str> {
    match value {
        Pickled::Object(object) => object.arguments.first()?.text(),
        other => other.text(),
    }
}

/// Its class, without the module; nothing if there is none.
fn class(transform: &Pickled) -> &str {
    let path = match transform {
        Pickled::Object(object) => object.class.as_str(),
        Pickled::Map(_) => transform.get("class_path").and_then(Pickled::text).unwrap_or("something unknown"),
        _ => "",
    };
    path.rsplit('.').next().unwrap_or(path)
}
