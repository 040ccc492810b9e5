//! Lab.
use lupe::engine::shader::Shader;
use lupe::engine::*;
use lupe::tensor::*;
#[derive(Debug)]
struct Lab {
    shader: &'static Shader,
    t: usize,
    heads: usize,
    size: usize,
    tn: usize,
    lanes: usize,
}
impl Op for Lab {
    fn infer(&self, _: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::from([1, self.t, self.heads * self.size]))
    }
    fn kernels(&self, _: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let image = Form::Image { pad: 0 };
        vec![
            Kernel::new(self.shader, 1, self.lanes as u32)
                .set("LANES", format!("{}u", self.lanes))
                .set("TN", format!("{}u", self.tn))
                .set("D4", format!("{}u", self.size / 4))
                .set(
                    "LOADS",
                    format!("{}u", (std::env::var("KEYS").unwrap().parse::<usize>().unwrap() / self.lanes).max(1)),
                )
                .read(0, 2, image)
                .write(image)
                .param("tokens", self.t)
                .param("heads", self.heads)
                .param("scale", (1.0 / (self.size as f64).sqrt() * std::f64::consts::LOG2_E) as f32)
                .groups(self.t.div_ceil(self.lanes * self.tn), self.heads, 1)
                .subgroup(self.lanes as u32),
        ]
    }
    fn reference(&self, _: &[&Tensor], y: Shape) -> Tensor {
        Tensor::zeros(y)
    }
}
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let gpu = pollster::block_on(Gpu::new(&"auto".parse().unwrap(), None)).unwrap();
    let n = |i: usize| args[i].parse::<usize>().unwrap();
    let (t, heads, size) = (n(0), n(1), n(2));
    let mut plans = vec![];
    let graphs: Vec<Graph> = args[3..].iter().map(|_| Graph::new()).collect();
    let shape = Shape::from([1, t, 3 * heads * size]);
    let input = Tensor::from_fn(shape, |i| ((i * 2654435761) % 1000) as f32 / 500.0 - 1.0);
    for (name, graph) in args[3..].iter().zip(&graphs) {
        let (file, tn) = name.split_once(':').unwrap();
        let source: &'static str = Box::leak(std::fs::read_to_string(file).unwrap().into_boxed_str());
        let shader: &'static Shader =
            Box::leak(Box::new(Shader { name: Box::leak(name.clone().into_boxed_str()), source }));
        let x = graph.input("x", shape);
        let y = x.apply(
            Lab { shader, t, heads, size, tn: tn.parse().unwrap(), lanes: gpu.caps.subgroup.unwrap() as usize },
            &[x],
        );
        let t0 = std::time::Instant::now();
        let plan = pollster::block_on(Plan::new(&gpu, graph, &[y], &Store::new(), Options::default())).unwrap();
        let out = pollster::block_on(plan.run(&[&input])).unwrap();
        println!("{name}: first {:.2} s  {:?}", t0.elapsed().as_secs_f64(), &out[0].data[..2]);
        plans.push(plan);
    }
    let flops = 4.0 * (t * t * heads * size) as f64;
    let mut best = vec![vec![]; plans.len()];
    for _ in 0..9 {
        for (p, b) in plans.iter().zip(&mut best) {
            b.push(pollster::block_on(p.run_timed(&[&input])).unwrap().ns.clone());
        }
    }
    for ((p, b), name) in plans.iter().zip(&best).zip(&args[3..]) {
        for (i, f) in p.facts().enumerate() {
            if f.kernel.contains("to_") {
                continue;
            }
            let mut all: Vec<f64> = b.iter().map(|v| v[i]).collect();
            all.sort_by(f64::total_cmp);
            println!("{name:40} {:9.3} ms min {:.3}  {:.1} GF/s", all[4] / 1e6, all[0] / 1e6, flops / all[0]);
        }
    }
}
