//! `lupe weights pull` of a program that was built without it.
#![cfg(not(feature = "pull"))]

use crate::common::program::{Bench, done, lupe, refused};

#[test]
fn without_the_feature_nothing_is_fetched_and_it_is_said_how_to() {
    let b = Bench::new();
    let mut pull = lupe();
    pull.env("XDG_CACHE_HOME", b.path("cache")).args(["weights", "pull", "resnet50.dino"]);
    let want = ["built without the feature `pull`", "dl.fbaipublicfiles.com/dino", "--weights resnet50.dino"];
    refused(&mut pull, 2, &want);
    assert!(done(pull.arg("--print")).contains("no source states its SHA-256"));
    assert!(!b.path("cache").exists());
}
