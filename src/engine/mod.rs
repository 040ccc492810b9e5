//! The spine: graph, kernels as data, planning, replay.

pub mod compose;
pub mod form;
pub mod fuse;
pub mod graph;
pub mod lower;
pub mod scope;
pub mod shader;
pub mod slots;

pub use form::{Caps, Family, Form, Geometry};
pub use graph::{Epilogue, Graph, Op, Var};
pub use scope::{Asked, Named, Scope};
pub use shader::{Kernel, Shader};
