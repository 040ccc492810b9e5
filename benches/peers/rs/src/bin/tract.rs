//! tract as a worker.

use peers::{Result, THREADS, Task};
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

fn main() -> Result<()> {
    let task = Task::new()?;
    set_default_executor(Executor::multithread(THREADS));
    let model = tract_onnx::onnx()
        .model_for_path(&task.model)?
        .with_input_fact(0, f32::fact(task.shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let x = Tensor::from_shape(&task.shape, &task.x)?;
    task.serve(|| {
        let mut all = vec![];
        for y in model.run(tvec!(x.clone().into()))? {
            all.extend(y.to_plain_array_view::<f32>()?.iter());
        }
        Ok(all)
    })
}
