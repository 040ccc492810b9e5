//! A kernel as data: which shader, which constants overwritten, which params, how many workgroups. No GPU call here.

use super::compose::compose;
use super::form::{Caps, Form};
use super::graph::Op;
use crate::error::{Error, Result};
use std::rc::Rc;

/// A WGSL file of `shaders/`, compiled into the program.
#[derive(Debug)]
pub struct Shader {
    /// File name without extension.
    pub name: &'static str,
    /// The file's text.
    pub source: &'static str,
}

impl Shader {
    /// Its WGSL with constants overwritten (`set`) and snippets swapped (`imports`).
    ///
    /// # Errors
    /// [`Error::Shader`] with what it does not declare or import.
    pub fn compose(&self, set: &[(&str, String)], imports: &[(&str, &str)]) -> Result<String> {
        compose(self.source, set, imports).map_err(|message| Error::Shader { name: self.name.to_string(), message })
    }
}

/// The shader of that name in `shaders/`; a missing file does not compile.
#[macro_export]
macro_rules! shader {
    ($name:literal) => {{
        static SHADER: $crate::engine::Shader = $crate::engine::Shader {
            name: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
        };
        &SHADER
    }};
}

/// The binding of the output.
const OUTPUT: u32 = 1;

/// A param of a kernel: 32 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Word {
    /// An unsigned integer.
    U32(u32),
    /// A float.
    F32(f32),
}

impl From<usize> for Word {
    fn from(v: usize) -> Word {
        Word::U32(u32::try_from(v).unwrap_or(u32::MAX))
    }
}

impl From<u32> for Word {
    fn from(v: u32) -> Word {
        Word::U32(v)
    }
}

impl From<f32> for Word {
    fn from(v: f32) -> Word {
        Word::F32(v)
    }
}

/// What a kernel needs of an adapter beyond its bindings, which follow from its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    /// Invocations in a workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub shared_bytes: u32,
    /// Lanes of the subgroups that it shuffles in; the adapter must have exactly this size.
    pub subgroup: Option<u32>,
}

/// What a kernel makes that sums in parts, and who adds them up.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What the kernel writes.
    pub op: Rc<dyn Op>,
    /// What makes the node's output of that, and of the node's inputs that the kernel does not read.
    pub sum: Rc<dyn Op>,
}

/// One way to run a node: one dispatch, as data; a second one where sums are made in parts.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The WGSL file.
    pub shader: &'static Shader,
    /// Constants and aliases overwritten.
    pub set: Vec<(&'static str, String)>,
    /// Snippet put in the place of another: (as the file says, instead).
    pub imports: Vec<(&'static str, &'static str)>,
    /// Snippets put in the place of others because of the forms of inputs and output: kernels that differ in nothing else are twins, of
    /// which a node gets the one that suits its neighbours.
    pub forms: Vec<(&'static str, &'static str)>,
    /// Binding number and form of each input, in order.
    pub reads: Vec<(u32, Form)>,
    /// Form of the output, at binding 1.
    pub writes: Form,
    /// Inputs that go through another op first (packing); on weights that happens once, when the plan is made.
    pub packs: Vec<(usize, Rc<dyn Op>)>,
    /// Where it writes parts of the node's sums: a step that adds them up follows, the mirror of packing.
    pub parts: Option<Parts>,
    /// Whether bounds checks are dropped; only where that was measured to pay.
    pub unchecked: bool,
    /// Loop trips of one invocation in total (dynamic loops, and constant ones of more than 32 trips).
    pub iterations: u64,
    /// Params by the names that `struct Params` gives them.
    pub params: Vec<(&'static str, Word)>,
    /// Workgroups.
    pub groups: [u32; 3],
    /// What it needs of the adapter.
    pub needs: Needs,
    /// Name of the order in which it adds up, where several kernels share one.
    pub order: Option<&'static str>,
}

impl Kernel {
    /// A kernel of this shader that reads `inputs` buffers and writes a buffer with workgroups of `invocations`.
    pub fn new(shader: &'static Shader, inputs: usize, invocations: u32) -> Kernel {
        Kernel {
            shader,
            set: vec![],
            imports: vec![],
            forms: vec![],
            reads: (0..inputs as u32).map(|i| (i + 2, Form::Buffer)).collect(),
            writes: Form::Buffer,
            packs: vec![],
            parts: None,
            unchecked: false,
            iterations: 0,
            params: vec![],
            groups: [1; 3],
            needs: Needs { invocations, ..Needs::default() },
            order: None,
        }
    }

    /// Overwrites `const name` or `alias name`.
    pub fn set(mut self, name: &'static str, value: impl ToString) -> Kernel {
        self.set.push((name, value.to_string()));
        self
    }

    /// Puts snippet `instead` where the file imports `import`.
    pub fn import(mut self, import: &'static str, instead: &'static str) -> Kernel {
        self.imports.push((import, instead));
        self
    }

    /// Puts snippet `instead` where the file imports `import`, because of a form.
    pub fn form(mut self, import: &'static str, instead: &'static str) -> Kernel {
        self.forms.push((import, instead));
        self
    }

    /// Binding and form of input `i`.
    pub fn read(mut self, i: usize, binding: u32, form: Form) -> Kernel {
        self.reads[i] = (binding, form);
        self
    }

    /// Writes its result where its first input lies.
    pub fn in_place(self) -> Kernel {
        self.read(0, OUTPUT, Form::Buffer)
    }

    /// Form of the output.
    pub fn write(mut self, form: Form) -> Kernel {
        self.writes = form;
        self
    }

    /// Sends input `i` through `op` first.
    pub fn pack(mut self, i: usize, op: impl Op + 'static) -> Kernel {
        self.packs.push((i, Rc::new(op)));
        self
    }

    /// Writes parts of the node's sums, which are added up afterwards.
    pub fn in_parts(mut self, parts: Parts) -> Kernel {
        self.parts = Some(parts);
        self
    }

    /// A param.
    pub fn param(mut self, name: &'static str, value: impl Into<Word>) -> Kernel {
        self.params.push((name, value.into()));
        self
    }

    /// Workgroups along the three axes of the grid.
    pub fn groups(mut self, x: usize, y: usize, z: usize) -> Kernel {
        self.groups = [x, y, z].map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        self
    }

    /// A flat grid of `n` workgroups, folded into two axes; the shader imports `grid`.
    pub fn flat_groups(self, n: usize) -> Kernel {
        let x = n.clamp(1, 65535);
        self.groups(x, n.div_ceil(x).max(1), 1)
    }

    /// Loop trips of one invocation in total.
    pub fn iterations(mut self, trips: usize) -> Kernel {
        self.iterations = trips as u64;
        self
    }

    /// Bytes of workgroup memory.
    pub fn shared(mut self, bytes: u32) -> Kernel {
        self.needs.shared_bytes = bytes;
        self
    }

    /// Shuffles in subgroups of exactly `lanes`.
    pub fn subgroup(mut self, lanes: u32) -> Kernel {
        self.needs.subgroup = Some(lanes);
        self
    }

    /// Drops bounds checks.
    pub fn unchecked(mut self) -> Kernel {
        self.unchecked = true;
        self
    }

    /// Adds up in the order of that name: all candidates of an op that say the same give the same bits.
    pub fn ordered(mut self, name: &'static str) -> Kernel {
        self.order = Some(name);
        self
    }

    /// The order in which it adds up: one of its own unless it says otherwise.
    pub fn order(&self) -> String {
        self.order.map_or_else(|| self.label(), str::to_string)
    }

    /// The composed WGSL.
    pub fn source(&self) -> Result<String> {
        self.shader.compose(&self.set, &self.swaps())
    }

    /// All snippets that are swapped.
    pub fn swaps(&self) -> Vec<(&'static str, &'static str)> {
        [&self.imports[..], &self.forms].concat()
    }

    /// Whether it differs from `other` in forms alone.
    pub fn twin(&self, other: &Kernel) -> bool {
        let what = |k: &Kernel| (k.shader.name, k.groups, k.set.clone());
        self.forms.len() + other.forms.len() > 0 && what(self) == what(other)
    }

    /// Readable name: shader and the constants that make it this candidate; twins share it.
    pub fn label(&self) -> String {
        let mut label = self.shader.name.to_string();
        for (name, value) in &self.set {
            label += &match value.as_str() {
                "false" => continue,
                "true" => format!(" {}", name.to_lowercase()),
                v => format!(" {}{}", name.to_lowercase(), v),
            };
        }
        for (_, instead) in &self.imports {
            label += &format!(" {instead}");
        }
        label
    }

    /// Inputs that have a binding of their own: all but one that its result replaces, which lies at the output's.
    pub(crate) fn bound(&self) -> impl Iterator<Item = (u32, Form)> + '_ {
        self.reads.iter().copied().filter(|r| r.0 != OUTPUT)
    }

    /// How many bindings are (storage buffers, storage textures), the output counted.
    pub fn bindings(&self) -> (u32, u32) {
        let forms = self.bound().map(|r| r.1).chain([self.writes]);
        forms.fold((0, 0), |(b, t), f| if f == Form::Buffer { (b + 1, t) } else { (b, t + 1) })
    }

    /// Whether an adapter with these abilities can run it, as far as the shader goes.
    pub fn runs_on(&self, caps: &Caps) -> bool {
        let (buffers, textures) = self.bindings();
        self.needs.invocations <= caps.invocations
            && self.needs.shared_bytes <= caps.shared_bytes
            && buffers <= caps.storage_buffers
            && textures <= caps.storage_textures
            && self.groups.iter().all(|&g| g <= caps.groups)
            && self.needs.subgroup.is_none_or(|lanes| caps.subgroup == Some(lanes))
    }

    /// Whether it runs on every adapter: base limits, no features.
    pub fn portable(&self) -> bool {
        self.needs.subgroup.is_none() && self.runs_on(&Caps::BASE)
    }
}
