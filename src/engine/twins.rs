//! Which of the kernels that differ in forms alone a node gets: the one whose forms suit the nodes around it. No GPU call here.
//!
//! On drivers that run on the processor, reading an image is cheap. With AVX-512 writing one is not (a texel of four floats: 2 ns to read, 15
//! to write; 4 and 2 in a buffer), so that a value that no reader needs as an image becomes a buffer where its kernel can write one. Without
//! it, reading a buffer is what costs (4 ns to read and 8 to write an image; 19 and 5 in a buffer): what no reader needs as a buffer
//! becomes an image (`Caps::slow_loads`). A ResNet-50 took 655 ms with buffers there and 386 with images.

use super::candidates::candidates_with;
use super::form::{Caps, Form};
use super::graph::{Node, Source};
use super::lower::Pick;
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
                kernels.swap(0, at);
                let picked = kernels[0].clone();
                let others = kernels.split_off(1).into_iter().filter(|k| !exact && k.twin(&picked));
                kernels.into_iter().chain(others).collect()
            }
            _ => vec![],
        });
    }
    let wanted = wanted(nodes, &twins, outputs);
    let mut images = vec![false; nodes.len()];
    let mut chosen = vec![];
    for (i, twins) in twins.into_iter().enumerate() {
        let kernel = twins.into_iter().min_by_key(|k| converted(k, (nodes, i), &images, (wanted[i], caps.slow_loads)));
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

/// Elements that have to be converted if node `i` gets this kernel; of a buffer and an image that nobody insists on, the one that is slow to
/// load is worse.
fn converted(
    kernel: &Kernel,
    (nodes, i): (&[Node], usize),
    images: &[bool],
    (wanted, slow_loads): (Wanted, bool),
) -> usize {
    let reads = nodes[i].inputs.iter().zip(&kernel.reads).enumerate().filter(|(j, _)| !packed(kernel, *j));
    let other = |(k, form): (usize, Form)| if images[k] == (form != Form::Buffer) { 0 } else { nodes[k].shape.len() };
    let read: usize = reads.map(|(_, (&k, r))| other((k, r.1))).sum();
    let written = match kernel.writes {
        Form::Buffer => usize::from(wanted.image) * nodes[i].shape.len() + usize::from(slow_loads),
        Form::Image { .. } => usize::from(wanted.buffer) * nodes[i].shape.len() + usize::from(!slow_loads),
    };
    read + written
}

#[cfg(test)]
mod tests {
    use crate::engine::form::typical;
    use crate::engine::lower::lower;
    use crate::engine::{Caps, Form, Graph, Var};
    use crate::tensor::Tensor;
    use std::sync::Arc;

    /// Forms that the nodes of a chain write on a driver on the processor, conversions aside.
    fn written(build: fn(&Graph) -> Var<'_>, slow_loads: bool) -> (Vec<bool>, usize) {
        let caps = Caps { slow_loads, ..software() };
        let graph = Graph::new();
        let y = build(&graph).id();
        let lowered = lower(graph.nodes().expect("no error"), &[y], &caps, &|_, _, _, _| 0).expect("kernels");
        let running = lowered.steps.iter().filter(|s| lowered.values[s.output].constant.is_none());
        let (convs, others): (Vec<_>, Vec<_>) = running.partition(|s| format!("{:?}", s.op).starts_with("Conv2d"));
        (convs.iter().map(|s| s.kernel.writes != Form::Buffer).collect(), others.len())
    }

    fn software() -> Caps {
        typical().into_iter().find(|c| c.0 == "software256").expect("a driver on the processor").1
    }

    fn conv<'g>(x: Var<'g>, name: &str, k: usize) -> Var<'g> {
        let c = x.dim(3);
        x.conv2d(x.graph().weight(name, Arc::new(Tensor::zeros([c, c, k, k]))), 1, k / 2)
    }

    #[test]
    fn a_value_is_an_image_where_a_reader_needs_one() {
        // 3x3 after 3x3 wants an image, 1x1 takes what there is, and an output is a buffer: one conversion, of the input.
        fn chain(g: &Graph) -> Var<'_> {
            let x = g.input("x", [1, 12, 12, 32]);
            conv(conv(conv(conv(x, "a", 3), "b", 3), "c", 1), "d", 1)
        }
        assert_eq!(written(chain, false), (vec![true, false, false, false], 1));
        // Where loads from buffers are slow, all but the output is an image.
        assert_eq!(written(chain, true), (vec![true, true, true, false], 1));
        // A residual that a 3x3 reads as well: one image for both, and the sum is one for the next.
        fn block(g: &Graph) -> Var<'_> {
            let x = conv(g.input("x", [1, 12, 12, 32]), "a", 3);
            let y = conv(conv(x, "b", 3), "c", 3) + x;
            conv(y, "d", 3)
        }
        for slow_loads in [false, true] {
            assert_eq!(written(block, slow_loads), (vec![true, true, true, false], 1));
        }
    }
}
