//! Kernels that are wrong on purpose: the sweep must catch each.

use super::check::Expected;
use super::sweep::gpu;
use lupe::engine::{Caps, Form, Kernel, Op, Shader};
use lupe::ops::{Case, Fill};
use lupe::tensor::{Shape, Tensor};

/// max(0, x) on `[n]` or `[n, h, w, c]`, by a shader that is given.
#[derive(Debug)]
struct Planted {
    shader: &'static Shader,
    form: Form,
}

impl Op for Planted {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        Ok(x[0])
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(self.shader, 1, 64).read(0, 2, self.form).write(self.form);
        let kernel = kernel.groups(x[0].len().div_ceil(64), 1, 1);
        vec![if self.form == Form::Buffer {
            kernel.param("n", x[0].len())
        } else {
            kernel.param("w", x[0].dim(2)).param("h", x[0].dim(1))
        }]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| if x[0].data[i].is_nan() { f32::NAN } else { x[0].data[i].max(0.0) })
    }
}

macro_rules! buffer_shader {
    ($name:literal, $body:literal) => {{
        static SHADER: Shader = Shader {
            name: $name,
            source: concat!(
                "struct Params { n: u32 }\n@group(0) @binding(0) var<uniform> p: Params;\n",
                "@group(0) @binding(1) var<storage, read_write> y: array<f32>;\n@group(0) @binding(2) var<storage, read> x: array<f32>;\n",
                "fn keep(v: f32) -> f32 { return select(max(v, 0.0), v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u); }\n",
                "@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3u) { let i = id.x; ",
                $body,
                " }\n"
            ),
        };
        &SHADER
    }};
}

macro_rules! image_shader {
    ($name:literal, $offset:literal) => {{
        static SHADER: Shader = Shader {
            name: $name,
            source: concat!(
                "struct Params { w: u32, h: u32, out_pad: u32, in0_pad: u32 }\n@group(0) @binding(0) var<uniform> p: Params;\n",
                "@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;\n",
                "@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;\n@compute @workgroup_size(64)\n",
                "fn main(@builtin(global_invocation_id) id: vec3u) { if id.x >= p.w * p.h { return; }\n",
                "let at = vec2u(id.x % p.w, id.x / p.w); let v = textureLoad(x, at + p.in0_pad);\n",
                "textureStore(y, at + p.out_pad",
                $offset,
                ", max(v, vec4f(0.0))); }\n"
            ),
        };
        &SHADER
    }};
}

fn verdict(shader: &'static Shader, form: Form, shape: &[usize], fill: Fill) -> Result<(), String> {
    let case = Case::new(Planted { shader, form }, &[shape]).fill(fill);
    let compared = Expected::new(&case).and_then(|expected| expected.check(gpu(), 0, &[false]));
    compared.map(drop).map_err(|e| e.to_string())
}

/// The right kernel passes; one element too far, one lost NaN, one broken ring, one unused channel, one word read beyond: all caught.
pub fn all_are_caught() {
    let good = buffer_shader!("good", "if i < p.n { y[i] = keep(x[i]); }");
    verdict(good, Form::Buffer, &[1000], Fill::NonFinite).expect("the right kernel passes");
    let far = buffer_shader!("one too far", "if i <= p.n { y[i] = keep(x[min(i, p.n - 1u)]); }");
    caught(verdict(far, Form::Buffer, &[1000], Fill::Uniform), "guard word");
    let lost = buffer_shader!("lost NaN", "if i < p.n { y[i] = max(x[i], 0.0); }");
    caught(verdict(lost, Form::Buffer, &[1000], Fill::NonFinite), "was lost");
    let beyond = buffer_shader!("reads beyond", "if i < p.n { y[i] = keep(x[i] + 1e-30 * x[i + 1u]); }");
    caught(verdict(beyond, Form::Buffer, &[1000], Fill::Uniform), "the reference");
    let image = Form::Image { pad: 1 };
    let right = image_shader!("right image", "");
    verdict(right, image, &[1, 5, 7, 4], Fill::Uniform).expect("the right image kernel passes");
    let ring = image_shader!("broken ring", " - vec2u(1u, 0u)");
    caught(verdict(ring, image, &[1, 5, 7, 4], Fill::Uniform), "ring or an unused channel");
}

fn caught(verdict: Result<(), String>, by: &str) {
    match verdict {
        Ok(()) => panic!("a planted fault that shows as \"{by}\" was not caught"),
        Err(e) => assert!(e.contains(by), "caught by another rule: {e}"),
    }
}
