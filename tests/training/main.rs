//! Trainings: steps, checkpoints, courses, and every command that trains.

#[path = "../common/mod.rs"]
mod common;

mod classifier;
mod classifier_hazelnut;
mod courses;
mod efficientad_ends;
mod efficientad_fit;
mod efficientad_hazelnut;
mod efficientad_kept;
mod efficientad_step;
mod efficientad_train;
mod pmf_finetune;
mod teachers;
mod training;
mod training_vit;
