//! Gradients of the matrix product: products again, of one operand and the gradient by the result.

use super::Matmul;
use crate::engine::{Backward, Var};
use crate::ops::epilogue::Epilogue;

impl Matmul {
    /// Gradients by both operands, where no epilogue follows.
    pub(super) fn back<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (&[a, b], Epilogue::NONE) = (at.x, self.epilogue) else { return None };
        Some(vec![at.by(0, || self.by_a((a, b), at.dy)), at.by(1, || self.by_b((a, b), at.dy))])
    }

    /// `dy x transpose(b)`, with `a`'s axes.
    fn by_a<'g>(&self, (a, b): (Var<'g>, Var<'g>), dy: Var<'g>) -> Var<'g> {
        let shared = a.shape().rank() != b.shape().rank();
        match (self.transpose_a, self.transpose_b) {
            (false, false) => dy.matmul_t(b),
            (false, true) => dy.matmul(b),
            // The transpose of a product is that of the transposes; one b for a whole batch can only come second.
            (true, false) if !shared => b.matmul_t(dy),
            (true, true) if !shared => both_transposed(b, dy),
            (true, false) => dy.matmul_t(b).transpose(),
            (true, true) => dy.matmul(b).transpose(),
        }
    }

    /// `transpose(a) x dy`, with `b`'s axes; summed over the batch where all of it has one b.
    fn by_b<'g>(&self, (a, b): (Var<'g>, Var<'g>), dy: Var<'g>) -> Var<'g> {
        let shared = a.shape().rank() != b.shape().rank();
        if shared || b.shape().rank() == 2 && !self.transpose_a {
            // A sum over all rows, be they of one product or of a batch.
            let rows = if self.transpose_a { a.transpose() } else { a };
            return if self.transpose_b { rows.linear_dw(dy) } else { dy.linear_dw(rows) };
        }
        match (self.transpose_a, self.transpose_b) {
            (false, false) => a.t_matmul(dy),
            (false, true) => dy.t_matmul(a),
            (true, false) => a.matmul(dy),
            (true, true) => both_transposed(dy, a),
        }
    }
}

/// `transpose(a) x transpose(b)`.
fn both_transposed<'g>(a: Var<'g>, b: Var<'g>) -> Var<'g> {
    a.apply(Matmul { transpose_a: true, transpose_b: true, ..Matmul::default() }, &[a, b])
}
