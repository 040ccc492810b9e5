//! `lupe patchcore …`, as commands were called before the verb came first: says what to type now.

use super::output::quoted;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::path::Path;

/// Whatever follows it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Never succeeds.
///
/// # Errors
/// [`Error::Usage`] with the line to type instead.
pub fn run(args: &Args) -> Result<()> {
    let mut words: Vec<String> = args.words.iter().map(|w| word(Path::new(w))).collect();
    let verbs = ["fit", "predict", "eval", "import"];
    let line = match words.iter().position(|w| verbs.contains(&w.as_str())) {
        Some(at) => {
            let verb = words.remove(at);
            let method = if verb == "fit" { " patchcore" } else { "" };
            format!("lupe {verb}{method} {}", words.join(" "))
        }
        None => "lupe fit patchcore GOOD_PICTURES -o part.lupe".into(),
    };
    Err(Error::Usage(format!(
        "`lupe patchcore` has been removed, the verb comes first now; type\n  {}",
        line.trim_end()
    )))
}

/// A word as a shell takes it; flags stay flags.
fn word(word: &Path) -> String {
    let text = word.to_string_lossy();
    match text.strip_prefix('-') {
        Some(_) => quoted(word).trim_start_matches("./").into(),
        None => quoted(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_line_is_told() {
        let told = |line: &str| {
            let words = line.split(' ').map(|w| w.replace('_', " ").into()).collect();
            run(&Args { words }).map_err(|e| e.to_string()).expect_err("it is gone")
        };
        for (old, new) in [
            ("fit good -o p.lupe --ratio 0.05", "lupe fit patchcore good -o p.lupe --ratio 0.05"),
            ("predict p.lupe my_pictures -o r", "lupe predict p.lupe 'my pictures' -o r"),
            ("-q eval p.lupe d -o r --maps=npy", "lupe eval -q p.lupe d -o r --maps=npy"),
            ("import m.ckpt -o p.lupe", "lupe import m.ckpt -o p.lupe"),
            ("--help", "lupe fit patchcore GOOD_PICTURES -o part.lupe"),
        ] {
            assert!(told(old).ends_with(&format!("type\n  {new}")), "{}", told(old));
        }
    }
}
