//! What a kernel declares against what naga sees in its source.

use super::seen::{Binding, Seen};
use super::units::List;
use lupe::engine::lower::MAX_ITERATIONS;
use lupe::engine::shader::Word;
use lupe::engine::{Caps, Form, Geometry, Kernel};
use lupe::tensor::Shape;
use std::collections::BTreeMap;

/// Bytes of params that a plan gives a step.
const WINDOW: usize = 256;

/// Everything about `kernel` that is not as naga sees it, and the rules that its source breaks.
pub fn faults(kernel: &Kernel, seen: &Seen) -> Vec<String> {
    let mut faults = seen.faults.clone();
    faults.extend(bindings(kernel, seen));
    faults.extend(params(kernel, seen));
    faults.extend(needs(kernel, seen));
    faults
}

fn of(form: Form, write: bool) -> Binding {
    if form == Form::Buffer { Binding::Buffer { write } } else { Binding::Image { write } }
}

fn bindings(kernel: &Kernel, seen: &Seen) -> Vec<String> {
    let mut declared = BTreeMap::from([(0, Binding::Uniform), (1, of(kernel.writes, true))]);
    // An input that the result replaces lies at the output's binding.
    let bound = kernel.reads.iter().filter(|r| r.0 != 1);
    declared.extend(bound.map(|&(binding, form)| (binding, of(form, false))));
    let mut faults = vec![];
    for number in declared.keys().chain(seen.bindings.keys().filter(|n| !declared.contains_key(n))) {
        let (told, found) = (declared.get(number), seen.bindings.get(number));
        if told != found {
            faults.push(format!("binding {number}: the kernel's forms say {told:?}, the shader has {found:?}"));
        }
    }
    if !kernel.reads.iter().map(|r| r.0).is_sorted_by(|a, b| a < b) {
        faults.push("inputs are not bound in their order".into());
    }
    faults
}

fn params(kernel: &Kernel, seen: &Seen) -> Vec<String> {
    let mut faults = vec![];
    for (i, (name, _)) in kernel.params.iter().enumerate() {
        if !seen.params.iter().any(|p| p.0 == *name) {
            faults.push(format!("struct Params has no field {name}"));
        }
        if kernel.params[..i].iter().any(|p| p.0 == *name) {
            faults.push(format!("param {name} is given twice"));
        }
    }
    for (name, kind) in &seen.params {
        let given = kernel.params.iter().find(|p| p.0 == name).map(|p| p.1);
        let right = match given {
            Some(Word::U32(_)) => kind == "u32",
            Some(Word::F32(_)) => kind == "f32",
            None => kind == "u32" && geometry(kernel, name),
        };
        if !right {
            faults.push(format!("param {name}: expected {kind}, the kernel gives {given:?}"));
        }
    }
    if 4 * seen.params.len() > WINDOW {
        faults.push(format!("more than {WINDOW} bytes of params"));
    }
    faults
}

/// Whether `name` is a fact of an image that the kernel binds, or may bind: the epilogue's inputs are optional.
fn geometry(kernel: &Kernel, name: &str) -> bool {
    let fact = |which: &str, fact: &str| {
        let form = match which.strip_prefix("in") {
            None => (which == "out").then_some(kernel.writes),
            Some(i) => match i.parse::<u32>().ok() {
                Some(i @ 0..4) => kernel.reads.iter().find(|r| r.0 == i + 2).map_or(optional(i), |r| Some(r.1)),
                _ => None,
            },
        };
        let known = Geometry::new(Shape::from([1]), 0, 1).fact(fact).is_some();
        // Twins share a struct of params: one that binds a buffer there is given zeros.
        let bound = form.is_some_and(|form| form != Form::Buffer || !kernel.forms.is_empty());
        known && bound
    };
    name.split_once('_').is_some_and(|(which, rest)| fact(which, rest))
}

fn optional(input: u32) -> Option<Form> {
    (input >= 2).then_some(Form::Image { pad: 0 })
}

fn needs(kernel: &Kernel, seen: &Seen) -> Vec<String> {
    let needs = kernel.needs;
    let rules = [
        (needs.invocations != seen.invocations, "invocations", needs.invocations, seen.invocations),
        (needs.shared_bytes != seen.shared_bytes, "bytes of workgroup memory", needs.shared_bytes, seen.shared_bytes),
    ];
    let wrong = rules.into_iter().filter(|r| r.0);
    let mut faults: Vec<String> = wrong.map(|(_, what, a, b)| format!("{a} {what} declared, naga sees {b}")).collect();
    if needs.subgroup.is_some() != seen.subgroup {
        faults.push(format!("subgroup {:?} declared, the shader uses subgroups: {}", needs.subgroup, seen.subgroup));
    }
    if seen.long_loops && kernel.iterations == 0 {
        faults.push("it has a loop and declares no iterations".into());
    }
    faults
}

/// What is wrong with a list of candidates as a list.
pub fn list_faults(list: &List) -> Vec<String> {
    let mut faults = vec![];
    let mut rule = |broken: bool, what: String| faults.extend(broken.then_some(what));
    match list.kernels.last() {
        None => rule(true, "no candidate".into()),
        Some(last) => {
            rule(!last.portable(), format!("the last candidate, {}, needs more than base limits", last.label()));
            rule(!last.runs_on(&Caps::BASE), format!("the last candidate, {}, does not run everywhere", last.label()));
            rule(last.iterations > MAX_ITERATIONS, format!("the last candidate makes {} loop trips", last.iterations));
        }
    }
    for (i, kernel) in list.kernels.iter().enumerate() {
        let label = kernel.label();
        let known = list.kernels[..i].iter().any(|k| k.label() == label && k.forms == kernel.forms);
        rule(known, format!("two candidates are called {label}"));
        // What the kernel of a part does not read, the sum of parts does.
        let reads = kernel.reads.len();
        rule(
            reads != list.inputs && kernel.parts.is_none(),
            format!("{label} reads {reads} of {} inputs", list.inputs),
        );
        rule(kernel.groups.contains(&0), format!("{label} has a grid of {:?}", kernel.groups));
    }
    faults
}
