//! rten as a worker.

use peers::{Result, THREADS, Task};
use rten::{Model, RunOptions, ThreadPool};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::sync::Arc;

fn main() -> Result<()> {
    let task = Task::new()?;
    let model = Model::load_file(&task.model)?;
    let x = NdTensor::from_data(task.shape, task.x.clone());
    let pool = Arc::new(ThreadPool::with_num_threads(THREADS));
    let (input, outputs) = (model.input_ids()[0], model.output_ids());
    task.serve(|| {
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let mut all = vec![];
        for y in model.run(vec![(input, x.view().into())], outputs, Some(options))? {
            let y: rten_tensor::Tensor<f32> = y.try_into()?;
            all.extend(y.to_vec());
        }
        Ok(all)
    })
}
