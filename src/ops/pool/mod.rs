//! Pooling over pictures `[n, h, w, c]`: the largest or the mean value of every window, and the mean of whole pictures.
//! Windows as in PyTorch and ONNX, sizes rounded down.

mod dx;

use crate::engine::{Activation, Backward, Caps, Family, Form, Kernel, Op, Var};
use crate::ops::epilogue::Epilogue;
use crate::ops::{Case, Fill, Pad, fours, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use dx::{PoolDx, PoolFirst};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Max,
    Mean { count_pad: bool },
}

#[derive(Clone, Copy, Debug)]
struct Pool {
    kind: Kind,
    k: usize,
    stride: usize,
    pad: Pad,
}

#[derive(Debug)]
struct GlobalPool;

impl<'g> Var<'g> {
    /// Largest value of every `k x k` window, `stride` apart; padding never wins, NaN always does.
    pub fn max_pool(self, k: usize, stride: usize, pad: impl Into<Pad>) -> Var<'g> {
        self.apply(Pool { kind: Kind::Max, k, stride, pad: pad.into() }, &[self])
    }

    /// Mean of every `k x k` window, `stride` apart; padding counts as zeros when `count_include_pad`, else not at all.
    pub fn avg_pool(self, k: usize, stride: usize, pad: impl Into<Pad>, count_include_pad: bool) -> Var<'g> {
        let kind = Kind::Mean { count_pad: count_include_pad };
        self.apply(Pool { kind, k, stride, pad: pad.into() }, &[self])
    }

    /// Mean of every channel over the whole picture: `[n, h, w, c]` to `[n, c]`.
    pub fn global_pool(self) -> Var<'g> {
        self.apply(GlobalPool, &[self])
    }
}

const WG: usize = 64;

/// Windows of more would pass the loop trips that an invocation may make.
const MAX_K: usize = 240;

fn picture(x: &[Shape]) -> Result<[usize; 4], String> {
    match x {
        [x] if x.rank() == 4 && !x.is_empty() => Ok(x.nhwc()),
        _ => Err("expected one picture [n, h, w, c]".into()),
    }
}

/// What works on images, where images are the fast form; elsewhere a convert node would cost more than it brings.
fn software_first<T>(caps: &Caps, on_images: T) -> impl Iterator<Item = T> {
    (caps.family == Family::Software).then_some(on_images).into_iter()
}

impl Pool {
    /// Rows and columns of the window at output (`r`, `s`), clipped to a picture of `h x w`.
    fn window(&self, r: usize, s: usize, h: usize, w: usize) -> [std::ops::Range<usize>; 2] {
        let clip = |at: usize, pad: usize, size: usize| {
            (at * self.stride).saturating_sub(pad)..(at * self.stride + self.k - pad).min(size)
        };
        [clip(r, self.pad.top, h), clip(s, self.pad.left, w)]
    }

    fn value(&self, values: impl Iterator<Item = f32>, count: usize) -> f64 {
        match self.kind {
            Kind::Max => {
                values.fold(f64::NEG_INFINITY, |m, v| if m.is_nan() || v.is_nan() { f64::NAN } else { m.max(v.into()) })
            }
            Kind::Mean { count_pad: true } => values.map(f64::from).sum::<f64>() / (self.k * self.k) as f64,
            Kind::Mean { count_pad: false } => values.map(f64::from).sum::<f64>() / count as f64,
        }
    }
}

impl Op for Pool {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [n, h, w, c] = picture(x)?;
        let Pool { k, stride, pad: Pad { top, left, bottom, right }, .. } = *self;
        if !(1..=MAX_K).contains(&k) || stride == 0 {
            return Err(format!("window {k} and stride {stride}: the window must be between 1 and {MAX_K}, the stride at least 1"));
        }
        if [top, left, bottom, right].iter().any(|&p| p >= k) {
            return Err(format!("{:?} must be less than the window, {k}, on every side", self.pad));
        }
        let (high, wide) = (h + top + bottom, w + left + right);
        if high < k || wide < k {
            return Err(format!("a window of {k} is larger than the padded picture, {high}x{wide}"));
        }
        Ok(Shape::from([n, (high - k) / stride + 1, (wide - k) / stride + 1, c]))
    }

    fn kernels(&self, x: &[Shape], y: Shape, caps: &Caps) -> Vec<Kernel> {
        let [n, h, w, c] = x[0].nhwc();
        let [_, out_h, out_w, _] = y.nhwc();
        let params = |kernel: Kernel, c: usize| {
            let kernel = kernel.set("MAX", self.kind == Kind::Max);
            let kernel = kernel.set("COUNT_PAD", self.kind == Kind::Mean { count_pad: true });
            let kernel = kernel.param("n", n).param("h", h).param("w", w).param("c", c);
            let kernel = kernel.param("out_h", out_h).param("out_w", out_w).param("k", self.k);
            kernel.param("stride", self.stride).param("top", self.pad.top).param("left", self.pad.left)
        };
        let threads = |kernel: Kernel, channels: usize| {
            kernel.iterations(self.k * (self.k + 1)).flat_groups((n * out_h * out_w * channels).div_ceil(WG))
        };
        let image = Form::Image { pad: 0 };
        let on_images = Kernel::new(shader!("pool_image"), 1, WG as u32).read(0, 2, image).write(image);
        let on_images = threads(params(on_images, c), c.div_ceil(4));
        let on_buffers = widths(c).map(|width| {
            let kernel = Kernel::new(shader!("pool"), 1, WG as u32);
            let kernel = if width == 4 { fours(kernel) } else { kernel };
            threads(params(kernel, c / width), c / width)
        });
        software_first(caps, on_images).chain(on_buffers).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let [_, h, w, c] = x[0].shape.nhwc();
        let [_, out_h, out_w, _] = y.nhwc();
        Tensor::from_fn(y, |i| {
            let (channel, at) = (i % c, i / c);
            let (picture, r, s) = (at / (out_w * out_h), at / out_w % out_h, at % out_w);
            let [rows, columns] = self.window(r, s, h, w);
            let count = rows.len() * columns.len();
            let places = rows.flat_map(|r| columns.clone().map(move |s| (r, s)));
            self.value(places.map(|(r, s)| x[0].data[((picture * h + r) * w + s) * c + channel]), count) as f32
        })
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (x, op) = (at.x[0], PoolDx { pool: *self, x: at.x[0].shape(), epilogue: Epilogue::NONE });
        let by = || match self.kind {
            Kind::Max => at.dy.apply(op, &[x.apply(PoolFirst { pool: *self }, &[x]), at.dy]),
            Kind::Mean { .. } => at.dy.apply(op, &[at.dy]),
        };
        Some(vec![at.by(0, by)])
    }

    fn flops(&self, _: &[Shape], y: Shape) -> u64 {
        (y.len() * self.k * self.k) as u64
    }
}

impl Op for GlobalPool {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [n, _, _, c] = picture(x)?;
        Ok(Shape::from([n, c]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let [n, h, w, c] = x[0].nhwc();
        // No more lanes than a vector has, and at any width the same tree: with 64 there were six barriers for 49 pixels (ResNet-18's, in
        // benches/RESULTS.md: 1.0 to 0.25 ms at 512 bits).
        const LANES: usize = 8;
        let on_images = Kernel::new(shader!("global_pool_image"), 1, LANES as u32)
            .read(0, 2, Form::Image { pad: 0 })
            .write(Form::Image { pad: 0 })
            .param("n", n)
            .param("h", h)
            .param("w", w)
            .param("c", c)
            .iterations((h * w).div_ceil(LANES))
            .shared(16 * LANES as u32)
            .flat_groups(n * c.div_ceil(4));
        // 32 channels side by side read whole cache lines; four leave enough lanes for the largest pictures.
        let [lines, lanes] = [32, 4].map(|channels| {
            Kernel::new(shader!("global_pool"), 1, 256)
                .set("CHANNELS", channels)
                .param("pixels", h * w)
                .param("n", n)
                .param("c", c)
                .iterations((h * w).div_ceil(256 / channels))
                .shared(4 * 256)
                .flat_groups(n * c.div_ceil(channels))
        });
        software_first(caps, on_images).chain([lines, lanes]).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let [_, h, w, c] = x[0].shape.nhwc();
        Tensor::from_fn(y, |i| {
            let pixel = |j: usize| f64::from(x[0].data[(i / c * h * w + j) * c + i % c]);
            ((0..h * w).map(pixel).sum::<f64>() / (h * w) as f64) as f32
        })
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let x = at.x[0].shape();
        let share = 1.0 / (x.dim(1) * x.dim(2)) as f32;
        Some(vec![at.by(0, || at.dy.affine(share, 0.0).repeated(x.dim(3), x))])
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x[0].len() as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let uneven = Pad { top: 0, left: 1, bottom: 2, right: 0 };
    let max = |k, stride, pad| Pool { kind: Kind::Max, k, stride, pad };
    let mean = |k, stride, pad, count_pad| Pool { kind: Kind::Mean { count_pad }, k, stride, pad };
    let first = |pool: Pool, x: &[usize]| Case::new(PoolFirst { pool }, &[x]).bound(0.0);
    let dx = |pool: Pool, x: &[usize], dy: &[usize]| {
        let op = PoolDx { pool, x: Shape::new(x), epilogue: Epilogue::NONE };
        match pool.kind {
            // Places are whole numbers, most of them zero.
            Kind::Max => Case::new(op, &[dy, dy]).fill(Fill::Words).planted_in(0).bound(1e-12),
            Kind::Mean { .. } => Case::new(op, &[dy]).bound(1e-12),
        }
    };
    let sloped = |pool: Pool, by: Activation, x: &[usize], dy: &[usize]| {
        let op = PoolDx { pool, x: Shape::new(x), epilogue: Epilogue::sloped(by) };
        match pool.kind {
            Kind::Max => Case::new(op, &[dy, dy, x]).fill(Fill::Words).planted_in(0).bound(1e-12),
            Kind::Mean { .. } => Case::new(op, &[dy, x]).bound(1e-12),
        }
    };
    vec![
        first(max(3, 2, 1.into()), &[2, 17, 19, 8]).fill(Fill::NonFinite),
        first(max(3, 2, uneven), &[1, 9, 13, 6]).fill(Fill::NonFinite),
        first(max(5, 1, 2.into()), &[1, 5, 3, 4]),
        // A second channel whose values come again a row further on.
        first(max(3, 2, 1.into()), &[1, 9, 97, 2]).fill(Fill::Pairs),
        dx(max(3, 2, 1.into()), &[2, 17, 19, 8], &[2, 9, 10, 8]),
        dx(max(3, 2, uneven), &[1, 9, 13, 6], &[1, 5, 6, 6]),
        dx(max(2, 3, 0.into()), &[3, 6, 8, 1], &[3, 2, 3, 1]),
        dx(max(5, 1, 2.into()), &[1, 5, 3, 4], &[1, 5, 3, 4]),
        dx(mean(2, 2, 0.into(), true), &[2, 13, 12, 8], &[2, 6, 6, 8]),
        dx(mean(2, 2, 1.into(), true), &[1, 13, 12, 3], &[1, 7, 7, 3]).fill(Fill::NonFinite),
        dx(mean(4, 3, uneven, true), &[1, 11, 9, 7], &[1, 4, 3, 7]).fill(Fill::Outliers),
        dx(mean(4, 3, uneven, false), &[1, 11, 9, 7], &[1, 4, 3, 7]),
        dx(mean(3, 1, 1.into(), false), &[2, 7, 10, 4], &[2, 7, 10, 4]).fill(Fill::NonFinite),
        sloped(mean(2, 2, 0.into(), true), Activation::Relu, &[2, 13, 12, 8], &[2, 6, 6, 8]).fill(Fill::NonFinite),
        sloped(mean(4, 3, uneven, false), Activation::Gelu, &[1, 11, 9, 7], &[1, 4, 3, 7]),
        sloped(max(3, 2, 1.into()), Activation::Relu6, &[1, 9, 11, 4], &[1, 5, 6, 4]),
        sloped(max(3, 2, uneven), Activation::Relu, &[1, 9, 13, 6], &[1, 5, 6, 6]),
        Case::new(max(3, 2, 1.into()), &[&[2, 17, 19, 8]]),
        Case::new(max(3, 2, uneven), &[&[1, 9, 13, 6]]).fill(Fill::NonFinite),
        Case::new(max(2, 2, 0.into()), &[&[3, 5, 7, 1]]).fill(Fill::Outliers),
        Case::new(max(1, 3, 0.into()), &[&[1, 4, 4, 3]]),
        Case::new(max(7, 1, 3.into()), &[&[1, 5, 3, 4]]),
        Case::new(mean(3, 1, 1.into(), true), &[&[1, 8, 8, 12]]),
        Case::new(mean(3, 1, 1.into(), false), &[&[2, 7, 10, 5]]).fill(Fill::NonFinite),
        Case::new(mean(4, 3, uneven, true), &[&[1, 11, 9, 7]]).fill(Fill::Outliers),
        Case::new(mean(4, 3, uneven, false), &[&[1, 11, 9, 7]]),
        Case::new(GlobalPool, &[&[2, 7, 7, 130]]).fill(Fill::Outliers),
        Case::new(GlobalPool, &[&[1, 1, 1, 1]]),
        Case::new(GlobalPool, &[&[3, 13, 11, 6]]).fill(Fill::NonFinite),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Graph;

    fn counting(h: usize, w: usize) -> Tensor {
        Tensor::from_fn([1, h, w, 1], |i| i as f32 - 4.0)
    }

    fn run(x: &Tensor, op: impl for<'g> Fn(Var<'g>) -> Var<'g>) -> Tensor {
        let graph = Graph::new();
        let y = op(graph.input("x", x.shape));
        graph.eval(&[y], &[x]).unwrap().remove(0)
    }

    #[test]
    fn windows_by_hand() {
        let x = counting(3, 3); // -4 -3 -2 / -1 0 1 / 2 3 4
        assert_eq!(run(&x, |v| v.max_pool(2, 2, 1)).data, [-4.0, -2.0, 2.0, 4.0]);
        assert_eq!(run(&x, |v| v.avg_pool(2, 2, 1, true)).data, [-1.0, -1.25, 0.25, 2.0]);
        assert_eq!(run(&x, |v| v.avg_pool(2, 2, 1, false)).data, [-4.0, -2.5, 0.5, 2.0]);
        let low = Pad { top: 0, left: 0, bottom: 1, right: 0 };
        assert_eq!(run(&x, |v| v.max_pool(2, 2, low)).data, [0.0, 3.0]);
        assert_eq!(run(&x, |v| v.avg_pool(2, 2, low, false)).data, [-2.0, 2.5]);
        assert_eq!(run(&x, |v| v.global_pool()).data, [0.0]);
    }

    #[test]
    fn a_nan_wins_its_windows_alone() {
        let mut x = counting(1, 4);
        x.data[1] = f32::NAN;
        let y = run(&x, |v| v.max_pool(1, 1, 0)).data;
        assert_eq!(y.iter().map(|v| v.is_nan()).collect::<Vec<_>>(), [false, true, false, false]);
        x.data = vec![f32::NEG_INFINITY; 4];
        assert_eq!(run(&x, |v| v.max_pool(1, 2, 0)).data, [f32::NEG_INFINITY; 2]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_told() {
        let says = |shape: &[usize], k, stride, pad: Pad| {
            let op = Pool { kind: Kind::Max, k, stride, pad };
            op.infer(&[Shape::new(shape)]).map(|s| s.to_string()).unwrap_or_else(|e| e)
        };
        assert_eq!(says(&[2, 112, 112, 64], 3, 2, 1.into()), "[2,56,56,64]");
        assert!(says(&[4, 4, 1], 2, 2, 0.into()).contains("picture"));
        assert!(says(&[1, 4, 4, 1], 2, 2, 2.into()).contains("less than the window"));
        assert!(says(&[1, 4, 4, 1], 0, 1, 0.into()).contains("between 1 and 240"));
        assert!(says(&[1, 4, 4, 1], 2, 0, 0.into()).contains("stride"));
        assert!(says(&[1, 2, 9, 1], 5, 1, 1.into()).contains("4x11"));
        assert!(GlobalPool.infer(&[Shape::from([3, 4])]).is_err());
    }

    #[test]
    fn a_million_pixels_stay_within_the_loop_trips() {
        let shape = Shape::from([1, 1024, 1024, 3]);
        let kernels = GlobalPool.kernels(&[shape], Shape::from([1, 3]), &Caps::BASE);
        assert!(kernels.last().unwrap().iterations < 60_000);
    }
}
