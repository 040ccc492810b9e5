//! How pictures are prepared for a network: as the catalog says if it knows the file, else by the network's default.

use crate::data::{ChannelOrder, Preprocess, Scaling};
use crate::error::Result;
use crate::files::sha256;
use crate::models::Network;
use crate::weights::catalog::{Match, Published, verdict};
use serde_json::{Value, json};
use std::path::Path;

/// A file's hash, and what the catalog says about it.
pub struct Identified {
    sha256: String,
    verdict: Match,
}

/// Asks the catalog.
pub fn known(file: &Path, bytes: &[u8]) -> Result<Identified> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let sha256 = sha256(bytes);
    Ok(Identified { verdict: verdict(&name, &sha256)?, sha256 })
}

/// Resize, filter and crop of the catalog's entry for this file as that network, where it has them.
fn stated<'k>(known: &'k Identified, model: &Network) -> Option<(&'k Published, usize, usize, &'k str)> {
    let entry = match &known.verdict {
        Match::Mismatch(_) => None,
        other => other.published().filter(|p| p.network == model.name),
    }?;
    Some((entry, entry.resize?, entry.crop?, entry.filter.as_deref()?))
}

/// Resize, filter and crop of the network's default.
fn default(p: &Preprocess) -> (Option<usize>, Option<usize>, &'static str) {
    let edge = match p.scaling {
        Some(Scaling::ShortEdge(edge)) => Some(edge),
        Some(Scaling::Square(_)) | None => None,
    };
    (edge, p.crop.map(|[edge, _]| edge), p.filter.name())
}

fn geometry(resize: Option<usize>, crop: Option<usize>, filter: &str) -> String {
    let resize = resize.map_or("no resizing".into(), |edge| format!("shorter edge to {edge}, {filter}"));
    crop.map_or(resize.clone(), |edge| format!("{resize}; centre crop {edge}x{edge}"))
}

/// Lines about the catalog and, if a network was recognised, about its pictures.
pub fn lines(known: &Identified, model: Option<&Network>) -> Vec<(&'static str, String)> {
    let word = known.verdict.word();
    let entry = match &known.verdict {
        Match::Unverified(None) => format!("{word}: this file is not in the catalog"),
        Match::Unverified(Some(p)) => format!("{word}: named like {}, for which no hash is published", p.name),
        Match::Matched(p) => format!("{word}: {}", p.name),
        Match::Mismatch(p) => {
            format!("{word}: named like {}, but it is a different file; `lupe weights verify` says more", p.name)
        }
    };
    let mut lines = vec![("catalog", entry)];
    lines.extend(model.map(|m| ("pictures", pictures(known, m))));
    lines
}

fn pictures(known: &Identified, model: &Network) -> String {
    let p = &model.preprocess;
    let (resize, crop, filter) = default(p);
    let own = match p.scaling {
        Some(Scaling::Square(edge)) => format!("whole, {edge}x{edge}, {filter}"),
        _ => geometry(resize, crop, filter),
    };
    let numbers = |v: [f32; 3]| v.map(|v| v.to_string()).join(" ");
    let values =
        format!("{}, divided by {}, mean {}, deviation {}", order(p.order), p.divisor, numbers(p.mean), numbers(p.std));
    match stated(known, model) {
        Some((entry, resize, crop, filter)) => {
            let stated = geometry(Some(resize), Some(crop), filter);
            let from = format!("{stated} (the catalog's {})\n{values}", entry.name);
            if stated == own { from } else { format!("{from}\nlupe embed uses {}'s default: {own}", model.name) }
        }
        None => format!("{own} (the default of {})\n{values}", model.name),
    }
}

fn order(order: ChannelOrder) -> &'static str {
    match order {
        ChannelOrder::Rgb => "RGB",
        ChannelOrder::Bgr => "BGR",
    }
}

/// What the catalog says, for programs.
pub fn catalog(known: &Identified) -> Value {
    json!({"sha256": known.sha256, "verdict": known.verdict.word(), "published": known.verdict.published()})
}

/// How pictures are prepared, for programs.
pub fn as_json(known: &Identified, model: &Network) -> Value {
    let p = &model.preprocess;
    let (mut from, (mut resize, mut crop, mut filter)) = ("network", default(p));
    if let Some((_, r, c, f)) = stated(known, model) {
        (from, resize, crop, filter) = ("catalog", Some(r), Some(c), f);
    }
    // 0.485 and not the digits of the f32 nearest to it.
    let decimal = |v: f32| v.to_string().parse::<f64>().unwrap_or(f64::from(v));
    json!({
        "from": from, "resize": resize, "crop": crop, "filter": filter, "channels": order(p.order),
        "divisor": p.divisor, "mean": p.mean.map(decimal), "std": p.std.map(decimal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::find;
    use crate::weights::catalog::published;

    fn matched(name: &str) -> Identified {
        let entry = published().unwrap().into_iter().find(|p| p.name == name).unwrap();
        Identified { sha256: "00".into(), verdict: Match::Matched(entry) }
    }

    #[test]
    fn the_catalog_goes_before_the_default() {
        let (v2, net) = (matched("resnet50.tv_v2"), find("resnet50").unwrap());
        let json = as_json(&v2, net);
        assert!(json["from"] == "catalog" && json["resize"] == 232 && json["crop"] == 224, "{json}");
        assert!(json["mean"][0] == 0.485 && json["channels"] == "RGB", "{json}");
        let said = pictures(&v2, net);
        assert!(said.starts_with("shorter edge to 232, bilinear; centre crop 224x224 (the catalog's resnet50.tv_v2)"));
        assert!(
            said.ends_with("lupe embed uses resnet50's default: shorter edge to 256, bilinear; centre crop 224x224")
        );
        let said = pictures(&matched("resnet50.tv_v1"), net);
        assert!(said.contains("256") && !said.contains("default"), "{said}");
        let bicubic = as_json(&matched("resnet34.a1_in1k"), find("resnet34").unwrap());
        assert!(bicubic["filter"] == "bicubic" && bicubic["resize"] == 235, "{bicubic}");
    }

    #[test]
    fn another_networks_entry_says_nothing() {
        let net = find("resnet18").unwrap();
        assert_eq!(as_json(&matched("resnet50.tv_v2"), net)["from"], "network");
        let other = Identified {
            verdict: Match::Mismatch(matched("resnet50.tv_v2").verdict.published().unwrap().clone()),
            sha256: String::new(),
        };
        assert_eq!(as_json(&other, find("resnet50").unwrap())["resize"], 256);
    }
}
