//! The spine: graph, kernels as data, planning, replay.

mod candidates;
pub mod choices;
pub mod compose;
pub mod constant;
pub mod convert;
pub mod form;
pub mod fuse;
pub mod gpu;
pub mod grad;
pub mod graph;
pub mod lower;
pub mod params;
pub mod plan;
pub mod probe;
pub mod profile;
mod recompute;
pub mod requested;
pub mod scope;
pub mod shader;
pub mod slots;
mod twins;
mod updates;
pub mod verify;

pub use choices::Choices;
pub use form::{Caps, ENOUGH, Family, Form, Geometry};
pub use gpu::{Choice, Gpu};
pub use grad::{Backward, gradients, gradients_in};
pub use graph::{Activation, Finish, Graph, Op, Var};
pub use params::{Parameter, Parameters, Trained};
pub use plan::{Options, Plan, Run, Store, Timeline};
pub use requested::{Named, Problem, Requested};
pub use scope::Scope;
pub use shader::{Kernel, Parts, Shader};
