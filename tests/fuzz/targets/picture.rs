//! Any bytes as `checks::picture` takes them.

#![no_main]

#[path = "../checks.rs"]
mod checks;
#[path = "../../common/torch.rs"]
#[allow(dead_code)]
mod torch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::picture(bytes));
