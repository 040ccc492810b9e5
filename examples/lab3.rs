//! Lab.
#![allow(unsafe_code)]
use lupe::engine::*;
use lupe::tensor::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let gpu = pollster::block_on(Gpu::new(&"auto".parse().unwrap(), None)).unwrap();
    let n = |i: usize| args[i].parse::<usize>().unwrap();
    let (m, k, c) = (n(0), n(1), n(2));
    let graphs: Vec<Graph> = args[3..].iter().map(|_| Graph::new()).collect();
    let input = Tensor::from_fn([m, k], |i| ((i * 2654435761) % 1000) as f32 / 500.0 - 1.0);
    let w = std::sync::Arc::new(Tensor::from_fn([c, k], |i| ((i * 40503) % 1000) as f32 / 500.0 - 1.0));
    let b = std::sync::Arc::new(Tensor::from_fn([c], |i| ((i * 40503) % 1000) as f32 / 500.0 - 1.0));
    let mut plans = vec![];
    for (name, graph) in args[3..].iter().zip(&graphs) {
        let v: Vec<&str> = name.split(':').collect();
        unsafe {
            std::env::set_var("LAB_TM", v[0]);
            std::env::set_var("LAB_TN", v[1]);
        }
        let x = graph.input("x", [m, k]);
        let y = x.matmul_t(graph.weight("w.weight", w.clone())) + graph.weight("w.bias", b.clone());
        let y = if v.len() > 2 { y.gelu() } else { y };
        let t0 = std::time::Instant::now();
        let plan = pollster::block_on(Plan::new(&gpu, graph, &[y], &Store::new(), Options::default())).unwrap();
        let out = pollster::block_on(plan.run(&[&input])).unwrap();
        println!("{name}: first {:.2} s  {:?}", t0.elapsed().as_secs_f64(), &out[0].data[..2]);
        plans.push(plan);
    }
    let flops = 2.0 * (m * k * c) as f64;
    let mut best = vec![vec![]; plans.len()];
    for _ in 0..21 {
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
            println!("{name:40} {:9.3} ms min {:.3}  {:.1} GF/s", all[10] / 1e6, all[0] / 1e6, flops / all[0]);
        }
    }
}
