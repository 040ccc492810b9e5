//! Lab.
use lupe::engine::*;
use lupe::tensor::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let gpu = pollster::block_on(Gpu::new(&"auto".parse().unwrap(), None)).unwrap();
    let (t, heads, size): (usize, usize, usize) =
        (args[0].parse().unwrap(), args[1].parse().unwrap(), args[2].parse().unwrap());
    let graph = Graph::new();
    let x = graph.input("x", [1, t, 3 * heads * size]);
    let y = x.attention(heads);
    let input = Tensor::from_fn(x.shape(), |i| ((i * 2654435761) % 1000) as f32 / 500.0 - 1.0);
    let mut plans = vec![];
    for name in &args[3..] {
        let t0 = std::time::Instant::now();
        let options = Options { choices: Choices::Named(name.clone()), ..Options::default() };
        let plan = pollster::block_on(Plan::new(&gpu, &graph, &[y], &Store::new(), options)).unwrap();
        let out = pollster::block_on(plan.run(&[&input])).unwrap();
        println!("{name}: first {:.2} s  {:?}", t0.elapsed().as_secs_f64(), &out[0].data[..2]);
        plans.push(plan);
    }
    let flops = 4.0 * (t * t * heads * size) as f64;
    let mut best = vec![vec![]; plans.len()];
    for _ in 0..7 {
        for (p, b) in plans.iter().zip(&mut best) {
            let timed = pollster::block_on(p.run_timed(&[&input])).unwrap();
            b.push(timed.ns.clone());
        }
    }
    for ((p, b), name) in plans.iter().zip(&best).zip(&args[3..]) {
        for (i, f) in p.facts().enumerate() {
            let mut all: Vec<f64> = b.iter().map(|v| v[i]).collect();
            all.sort_by(f64::total_cmp);
            println!(
                "{name:28} {:40} {:9.3} ms min {:.3}  {:.1} GF/s",
                f.kernel,
                all[3] / 1e6,
                all[0] / 1e6,
                flops / all[0]
            );
        }
    }
}
