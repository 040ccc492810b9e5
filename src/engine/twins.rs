//! Which of the kernels that differ in forms alone a node gets: the one whose forms suit the nodes around it. No GPU call here.
//!
//! On drivers that run on the processor, reading an image is cheap and writing one is not (a texel of four floats: 2 ns to read, 15 to
//! write; 4 and 2 in a buffer). So a value that no reader needs as an image becomes a buffer where its kernel can write one.

use super::form::{Caps, Form};
use super::graph::{Node, Source};
use super::lower::{Pick, candidates_with};
use super::shader::Kernel;
use crate::error::Result;
use crate::tensor::Shape;

/// In which forms readers insist on a value.
#[derive(Clone, Copy, Default)]
struct Wanted {
    image: bool,
    buffer: bool,
}

/// A kernel for every live op: its pick or, unless it shall be `exact`, the twin of it that leaves least to convert.
///
/// # Errors
/// As [`candidates`](super::lower::candidates).
pub fn choose(
    nodes: &[Node],
    (live, outputs): (&[bool], &[usize]),
    (caps, ring): (&Caps, u32),
    pick: Pick<'_>,
    exact: bool,
) -> Result<Vec<Option<Kernel>>> {
    let mut twins = vec![];
    for (node, live) in nodes.iter().zip(live) {
        twins.push(match &node.source {
            Source::Op(op) if *live => {
                let x: Vec<Shape> = node.inputs.iter().map(|&k| nodes[k].shape).collect();
                let mut kernels = candidates_with(&**op, &x, node.shape, (caps, ring))?;
                let at = pick(&**op, &x, node.shape, &kernels).min(kernels.len() - 1);
                let picked = kernels[at].clone();
                kernels.retain(|k| !exact && k.twin(&picked));
                if kernels.is_empty() { vec![picked] } else { kernels }
            }
            _ => vec![],
        });
    }
    let wanted = wanted(nodes, &twins, outputs);
    let mut images = vec![false; nodes.len()];
    let mut chosen = vec![];
    for (i, twins) in twins.into_iter().enumerate() {
        let kernel = twins.into_iter().min_by_key(|k| converted(k, (nodes, i), &images, wanted[i]));
        images[i] = kernel.as_ref().is_some_and(|k| k.writes != Form::Buffer);
        chosen.push(kernel);
    }
    Ok(chosen)
}

/// What readers insist on, by node: those whose twins all read one form, outputs, and views.
fn wanted(nodes: &[Node], twins: &[Vec<Kernel>], outputs: &[usize]) -> Vec<Wanted> {
    let mut wanted = vec![Wanted::default(); nodes.len()];
    outputs.iter().for_each(|&o| wanted[o].buffer = true);
    for (node, twins) in nodes.iter().zip(twins) {
        for (j, &k) in node.inputs.iter().enumerate() {
            let read = |t: &Kernel| t.reads.get(j).is_some_and(|r| r.1 != Form::Buffer) && !packed(t, j);
            let live = !twins.is_empty() || matches!(node.source, Source::View { .. });
            wanted[k].image |= !twins.is_empty() && twins.iter().all(read);
            wanted[k].buffer |= live && !twins.iter().any(read);
        }
    }
    wanted
}

fn packed(kernel: &Kernel, input: usize) -> bool {
    kernel.packs.iter().any(|p| p.0 == input)
}

/// Elements that have to be converted if node `i` gets this kernel; a buffer that nobody insists on is better than such an image.
fn converted(kernel: &Kernel, (nodes, i): (&[Node], usize), images: &[bool], wanted: Wanted) -> usize {
    let reads = nodes[i].inputs.iter().zip(&kernel.reads).enumerate().filter(|(j, _)| !packed(kernel, *j));
    let other = |(k, form): (usize, Form)| if images[k] == (form != Form::Buffer) { 0 } else { nodes[k].shape.len() };
    let read: usize = reads.map(|(_, (&k, r))| other((k, r.1))).sum();
    let written = match kernel.writes {
        Form::Buffer => usize::from(wanted.image) * nodes[i].shape.len(),
        Form::Image { .. } => usize::from(wanted.buffer) * nodes[i].shape.len() + 1,
    };
    read + written
}
