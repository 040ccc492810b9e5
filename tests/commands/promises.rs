//! What a command line promises: no input is replaced, outputs are tried first, flags and advice do what they say.

use crate::common;
use crate::common::parts::{data_set, fit, fitted, verb};
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::results::{contents, files, names};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A line that names an output, and the file that must survive it.
struct Line {
    command: &'static str,
    words: Vec<String>,
    input: PathBuf,
}

fn copied(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, &to).unwrap();
    to
}

/// Lines of all commands that write, each of which would replace one of its inputs.
fn replacing(b: &Bench) -> Vec<Line> {
    let (data, plain) = (b.path("data"), b.path("plain"));
    data_set(&data, 3, 40, 40);
    let picture = data.join("train/good/000.png");
    let (net, model) = (b.write("net.safetensors", lupe::weights::EMBEDDED), b.write("m.lupe", b"a model"));
    for n in 0..2 {
        copied(&picture, plain.join(format!("good/{n}.png")));
    }
    copied(&data.join("test/spot/000.png"), plain.join("spot/000.png"));
    let mask = copied(&data.join("ground_truth/spot/000_mask.png"), plain.join("masks/spot/000.png"));
    let table = plain.join("results.csv");
    fs::write(&table, "image_path,label,split\ngood/0.png,good,train\ngood/1.png,good,test\n").unwrap();
    let npy = copied(&picture, b.path("picture.npy"));
    let new = copied(&picture, b.path("new/a.png"));
    fs::create_dir_all(b.path("out/heatmaps")).unwrap();
    fs::hard_link(&new, b.path("out/heatmaps/a.png")).unwrap();
    let index = b.path("official/nnscorer_search_index.faiss");
    fs::create_dir(b.path("official")).unwrap();
    fs::write(&index, "an index").unwrap();
    let (ckpt, sweep) = (b.write("m.ckpt", b"a checkpoint"), copied(&net, b.path("net.json")));
    let summary = copied(&net, b.path("ep/summary.json"));
    let mut lines = vec![];
    let mut line = |command: &'static str, words: &str, input: &Path| {
        let named =
            |word: &str| word.split_once('@').map_or(word.into(), |(_, name)| b.path(name).display().to_string());
        lines.push(Line { command, words: words.split(' ').map(named).collect(), input: input.into() });
    };
    line("fit patchcore", "fit patchcore @data -o @data/train/good/000.png", &picture);
    line("fit patchcore", "fit patchcore @data -o @data/train/good/../good/000.png", &picture);
    line("fit patchcore", "fit patchcore @data --weights @net.safetensors -o @net.safetensors", &net);
    line("fit patchcore", "fit patchcore @plain/results.csv -o @plain/results.csv", &table);
    line("fit prototype", "fit prototype @data/test -o @data/test/good/000.png", &data.join("test/good/000.png"));
    line("fit prototype", "fit prototype @plain/results.csv -o @plain/results.csv", &table);
    line("fit prototype", "fit prototype @data/test --add @m.lupe -o @m.lupe", &model);
    line("fit pmf", "fit pmf @data/test --weights @net.safetensors -o @net.safetensors", &net);
    line("fit caml", "fit caml @data/test --weights @net.safetensors --checkpoint @m.ckpt -o @m.ckpt", &ckpt);
    line("fit classifier", "fit classifier @data/test -o @data/test/good/000.png", &data.join("test/good/000.png"));
    line("fit classifier", "fit classifier @data/test --weights @net.safetensors -o @net.safetensors", &net);
    line("fit anomalydino", "fit anomalydino @data --weights @net.safetensors -o @data/train/good/000.png", &picture);
    line("fit subspacead", "fit subspacead @data --weights @net.safetensors -o @net.safetensors", &net);
    line(
        "fit efficientad",
        "fit efficientad @data --teacher @net.safetensors --penalty none -o @net.safetensors",
        &net,
    );
    line("fit efficientad", "fit efficientad @data --teacher @m.ckpt --penalty @new -o @new/a.png", &new);
    line("distill", "distill @new -o @new/a.png", &new);
    line("distill", "distill @new --weights @net.safetensors -o @net.safetensors", &net);
    line("episodes", "episodes @data/test --shots 1 --queries 1 --weights @ep/summary.json -o @ep", &summary);
    line("weights convert", "weights convert @net.safetensors @net.safetensors --dtype f16", &net);
    if cfg!(unix) {
        line("predict", "predict @m.lupe @new/a.png -o @out", &new);
    }
    line("eval", "eval @m.lupe @plain -o @plain --masks", &mask);
    line("eval", "eval @m.lupe @plain/results.csv -o @plain --format csv", &table);
    line("embed", "embed @picture.npy -o @picture.npy", &npy);
    line("embed", "embed @picture.npy --weights @net.safetensors -o @net.safetensors", &net);
    line("import", "import @m.ckpt -o @m.ckpt", &ckpt);
    line("import", "import @official -o @official/nnscorer_search_index.faiss", &index);
    line("import", "import @m.ckpt --weights @net.safetensors -o @net.safetensors", &net);
    line("limit", "limit @m.lupe --rule max --weights @net.safetensors -o @net.safetensors", &net);
    line("profile", "profile efficientnet_lite0 @picture.npy --html @picture.npy", &npy);
    line("profile", "profile efficientnet_lite0 @picture.npy --trace @picture.npy", &npy);
    line("profile", "profile @m.lupe --html @m.lupe", &model);
    line("limit", "limit @m.lupe --rule max -o @m.lupe", &model);
    line("limit", "limit @m.lupe --weights @net.safetensors --rule max -o @net.safetensors", &net);
    line("bench", "bench --weights @net.json -o @net.json", &sweep);
    lines
}

/// The commands whose help names an output.
fn writers() -> Vec<String> {
    let named = |help: &str, indent: &str| -> Vec<String> {
        let list = help.split("Commands:").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
        let names = list.lines().filter_map(|l| l.strip_prefix(indent)).filter(|l| !l.starts_with(' '));
        names.filter_map(|l| l.split_whitespace().next().map(String::from)).collect()
    };
    let mut found = vec![];
    for command in named(&done(lupe().arg("--help")), "  ") {
        let help = done(lupe().args(["help", &command]));
        let below: Vec<String> = match command.as_str() {
            "fit" => {
                ["patchcore", "prototype", "pmf", "caml", "classifier", "anomalydino", "subspacead", "efficientad"]
                    .map(|c| format!("fit {c}"))
                    .into()
            }
            "weights" => ["inspect", "convert", "list", "verify"].map(|c| format!("weights {c}")).into(),
            _ => vec![command],
        };
        for command in below {
            let help =
                if command.contains(' ') { done(lupe().arg("help").args(command.split(' '))) } else { help.clone() };
            if ["--output", "--html", "--trace", "--dump ", "OUT.safetensors"].iter().any(|o| help.contains(o)) {
                found.push(command);
            }
        }
    }
    found
}

#[test]
fn fault_08_no_command_replaces_one_of_its_inputs() {
    let b = Bench::new();
    let lines = replacing(&b);
    let before = contents(b.dir.path());
    for Line { words, input, .. } in &lines {
        refused(lupe().args(words), 2, &["is an input of this command", &input.file_name().unwrap().to_string_lossy()]);
        assert!(contents(b.dir.path()) == before, "{words:?} has changed something");
    }
    // Commands without inputs of their own aside: `fault_08_the_demo…` has one, and `shaders` reads nothing.
    for command in writers() {
        let here = lines.iter().any(|l| l.command == command) || cfg!(not(unix)) && command == "predict";
        assert!(here || ["demo", "shaders"].contains(&command.as_str()), "no line for {command}");
    }
    #[cfg(unix)]
    {
        let (picture, link) = (b.path("data/train/good/000.png"), b.path("link.lupe"));
        std::os::unix::fs::symlink(&picture, &link).unwrap();
        refused(&mut fit(&b.path("data"), &link), 2, &["link.lupe: is an input of this command", "000.png"]);
    }
    let net = b.path("net.safetensors");
    let both = ["profile", "efficientnet_lite0", "--html", "p.html", "--trace", "./p.html"];
    refused(lupe().args(both).current_dir(b.dir.path()), 2, &["p.html: is named for two outputs"]);
    // The advice: another output. That a file was written there before, among the inputs, does not make it one.
    b.write("data/new.lupe", b"an earlier model");
    refused(fit(&b.path("data"), &b.path("data/new.lupe")).args(["--weights", "missing.pth"]), 4, &["missing.pth"]);
    done(lupe().args(["weights", "convert"]).arg(&net).arg(b.path("half.safetensors")).args(["--dtype", "f16"]));
}

#[test]
fn fault_08_the_demo_writes_nothing_into_a_folder_of_somebody_else() {
    let b = Bench::new();
    for (file, foreign) in [("my/notes.txt", "notes.txt"), ("their/parts/train/good/mine.png", "mine.png")] {
        let path = b.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let folder = b.path(file.split('/').next().unwrap());
        refused(lupe().args(["demo", "-o"]).arg(&folder), 2, &[foreign, "is not the demo's", "-o"]);
        assert_eq!(contents(&folder).len(), 1, "something was written");
    }
}

/// In every line something else is wrong as well, which would be found later: the output comes first.
#[test]
fn fault_09_outputs_are_tried_before_anything_else() {
    let b = Bench::new();
    data_set(&b.path("data"), 2, 40, 40);
    b.write("text.png", b"no picture");
    b.write("file", b"keep me");
    for folder in ["f.lupe", "f.safetensors", "f.npy", "f.html", "f.json"] {
        fs::create_dir(b.path(folder)).unwrap();
    }
    let before = contents(b.dir.path());
    for words in [
        "fit patchcore data --weights missing.pth -o f.lupe",
        "fit prototype data/test --weights missing.pth -o f.lupe",
        "fit pmf data/test --weights missing.pth -o file/m.lupe",
        "fit classifier data/test --weights missing.pth -o f.lupe",
        "fit patchcore data --weights missing.pth -o file/m.lupe",
        "weights convert missing.pth f.safetensors",
        "weights convert missing.pth file/x.safetensors",
        "embed text.png -o f.npy",
        "embed text.png -o file/e.npy",
        "import missing.ckpt -o f.lupe",
        "import missing.ckpt -o file/m.lupe",
        "profile missing.lupe --html f.html",
        "profile missing.lupe --trace file/t.json",
        "bench --model missing.lupe -o f.json",
        "bench --model missing.lupe -o file/s.json",
        "predict missing.lupe text.png -o file",
        "predict missing.lupe text.png -o file/out",
        "eval missing.lupe data -o file",
        "shaders --dump file",
        "demo -o file",
    ] {
        let output = words.rsplit(' ').next().unwrap();
        refused(lupe().args(words.split(' ')).current_dir(b.dir.path()), 10, &[output]);
        assert!(contents(b.dir.path()) == before, "{words} has changed something");
    }
}

#[test]
fn fault_09_missing_folders_are_made_and_not_left_empty() {
    let b = Bench::new();
    data_set(&b.path("data"), 2, 40, 40);
    b.write("text.png", b"no picture");
    b.write("net.safetensors", lupe::weights::EMBEDDED);
    let before = b.files();
    let at = |words: &str| {
        let mut command = lupe();
        command.args(words.split(' ')).current_dir(b.dir.path());
        command
    };
    for (words, code) in [
        ("fit patchcore data --weights missing.pth -o new/deep/m.lupe", 4),
        ("weights convert missing.pth new/deep/x.safetensors", 4),
        ("embed missing.png -o new/deep/e.npy", 3),
        ("import missing.ckpt -o new/deep/m.lupe", 4),
        ("profile missing.lupe --html new/deep/p.html --trace new/t.json", 4),
        ("predict missing.lupe text.png -o new/deep/out", 4),
        ("eval missing.lupe data -o new/deep/out", 4),
    ] {
        let output = at(words).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}: {}", text(&output.stderr));
        assert_eq!(b.files(), before, "{words} left something");
    }
    done(&mut at("weights convert net.safetensors made/by/convert.safetensors"));
    done(&mut at("shaders --dump made/by/shaders"));
    assert!(b.path("made/by/convert.safetensors").is_file() && b.path("made/by/shaders/shaders.csv").is_file());
    if no_gpu() {
        return;
    }
    fs::rename(b.path("data/train/good/000.png"), b.path("a.png")).unwrap();
    done(&mut at("embed a.png -o made/for/embed.npy"));
    done(&mut at("profile efficientnet_lite0 --size 32 --repeats 1 -q --html made/for/p.html --trace made/for/t.json"));
    assert_eq!(files(&b.path("made/for")), names(&["embed.npy", "p.html", "t.json"]));
}

#[test]
fn fault_10_a_value_given_twice_is_refused_before_anything_runs() {
    let b = Bench::new();
    let (picture, out) = (b.picture("a.png"), b.path("e.safetensors"));
    let mut embed = lupe();
    embed.arg("embed").arg(&picture).args(["--tap", "pool", "--tap", "pool", "-o"]).arg(&out);
    refused(&mut embed, 2, &["--tap: `pool` is given twice"]);
    let layers = ["fit", "patchcore", "data", "-o", "m.lupe", "--layers", "2,layer2"];
    refused(lupe().args(layers), 2, &["--layers: `layer2` is given twice"]);
    refused(lupe().args(["bench", "--batch", "1,2,01"]), 2, &["--batch: `1` is given twice"]);
    assert!(!out.exists());
    if !no_gpu() {
        refused(lupe().args(["bench", "--device", "0,0"]), 2, &["--device: `0 ", "is given twice"]);
    }
}

/// What follows `before` in a message, up to a space or the line's end.
fn advice(command: &mut Command, code: i32, before: &str) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let rest = said.split(before).nth(1).unwrap_or_else(|| panic!("\"{before}\" is not in: {said}"));
    rest.split([' ', ',', ';', '\n']).next().unwrap().to_string()
}

#[test]
fn fault_12_advice_about_device_memory_helps() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let picture = b.picture("a.png");
    let embed = |limit: &str| {
        let mut command = lupe();
        command.arg("embed").arg(&picture).args(["--limit-memory", limit]);
        command
    };
    let enough = advice(&mut embed("8M"), 6, "raise it to at least ");
    done(&mut embed(&enough));
    refused(&mut embed("8M"), 6, &["--limit-memory allows 8.0 MiB"]);
    assert!(!text(&embed("8M").output().unwrap().stderr).contains("--batch"), "a batch is halved by itself");
    let plan = |words: &str| {
        let mut command = lupe();
        command.args(["plan", "efficientnet_lite0", "-q"]).args(words.split(' '));
        command
    };
    let needs = advice(&mut plan("--size 64 --batch 8 --limit-memory 16M"), 6, "raise it to at least ");
    done(&mut plan(&format!("--size 64 --batch 8 --limit-memory {needs}")));
    refused(&mut plan("--size 64 --batch 8 --limit-memory 16M"), 6, &["or use a smaller --batch"]);
    // What a device binds at a time is no limit of ours, and no flag raises it.
    let binding = lupe::engine::gpu::Choice::Auto;
    let gpu = pollster::block_on(lupe::engine::Gpu::new(&binding, None)).unwrap();
    if gpu.caps.binding_bytes > 1 << 28 {
        return common::skip::skip("the binding's limit", "the device binds more than is planned here");
    }
    let said = text(&plan("--size 224 --batch 1500").output().unwrap().stderr);
    assert!(said.contains("in one binding") && !said.contains("--limit-memory"), "{said}");
    assert!(said.contains("a smaller --size or another --device, or use a smaller --batch"), "{said}");
    done(&mut plan("--size 224 --batch 2"));
    let said = text(&plan("--size 4096").output().unwrap().stderr);
    assert!(said.contains("in one b") && !said.contains("--batch"), "{said}");
    done(&mut plan("--size 256"));
}

#[test]
fn fault_12_an_unknown_backend_is_named() {
    let devices = |backend: &str| {
        let mut command = lupe();
        command.arg("devices").env("WGPU_BACKEND", backend);
        command
    };
    refused(&mut devices("vulcan"), 2, &["WGPU_BACKEND: unknown backend `vulcan`", "vulkan, metal, dx12, gl"]);
    refused(&mut devices("vulkan,\u{1b}[2J"), 2, &["`\\u{1b}[2j`"]);
    refused(lupe().args(["bench"]).env("WGPU_BACKEND", "vulcan"), 2, &["WGPU_BACKEND"]);
    done(lupe().args(["help", "exit-codes"]).env("WGPU_BACKEND", "vulcan"));
    #[cfg(target_os = "linux")]
    refused(&mut devices("metal"), 5, &["WGPU_BACKEND=metal", "unset it"]);
    if !no_gpu() {
        done(&mut devices("Vulkan, gl"));
        done(&mut devices(""));
    }
}

#[test]
fn fault_12_and_24_a_limit_is_kept_or_refused_with_the_smallest_that_works() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = fitted(&b);
    let mut predict = verb(&["predict"]);
    predict.arg(&model).arg(data.join("test")).arg("-o").arg(b.path("out")).args(["--limit-ram", "1G"]);
    refused(&mut predict, 2, &["unexpected argument '--limit-ram'"]);
    let again = b.path("again.lupe");
    let limited = |limit: &str| {
        let mut command = fit(&data, &again);
        command.args(["--limit-ram", limit]);
        command
    };
    for none in ["1", "1K", "0"] {
        advice(&mut limited(none), 2, "at least --limit-ram ");
        assert!(!again.exists() && !b.path("again.lupe.features").exists(), "{none} left something");
    }
    let least = advice(&mut limited("1K"), 2, "at least --limit-ram ");
    done(&mut limited(&least));
    assert!(fs::read(&again).unwrap() == fs::read(&model).unwrap(), "the limit changes the model");
    let less: u64 = least.trim_end_matches('K').parse().unwrap();
    refused(&mut limited(&format!("{}K", less - 1)), 2, &[&least]);
}

#[test]
fn fault_14_more_neighbours_than_rows_are_refused_before_the_work() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (b.path("data"), b.path("m.lupe"));
    data_set(&data, 6, 72, 72);
    let with = |words: &[&str]| {
        let mut command = fit(&data, &model);
        command.args(words);
        command
    };
    let want = ["--neighbors 500", "38 rows", "0.1", "6 pictures x 64 places", "at most 31"];
    refused(&mut with(&["--neighbors", "500"]), 2, &want);
    refused(&mut with(&["--neighbors", "32"]), 2, &["at most 31"]);
    assert_eq!(b.files(), ["data"]);
    // The advice: what is known before the bank is, then what the bank has; what was computed is not lost.
    let first = with(&["--neighbors", "31"]).output().unwrap();
    if !first.status.success() {
        let most = advice(&mut with(&["--neighbors", "31"]), 2, "give at most ");
        let said = text(&with(&["--neighbors", &most]).output().unwrap().stderr);
        assert!(model.exists() && said.contains("resuming  6 pictures"), "{said}");
    }
    done(&mut with(&["--neighbors", "39", "--ratio", "0.5"]));
}

#[test]
fn fault_28_the_self_test_tells_every_kernel_and_a_total() {
    if no_gpu() {
        return;
    }
    let output = lupe().args(["devices", "--self-test"]).output().unwrap();
    let (said, result) = (text(&output.stderr), text(&output.stdout));
    assert!(output.status.success(), "{said}");
    let count = said.lines().filter(|l| l.starts_with("testing   ")).count();
    assert!(count > 5 && said.contains(&format!("testing   {count} of {count}: ")), "{said}");
    assert!(result.starts_with(&format!("all {count} kernels match")) && result.contains("\ntook      "), "{result}");
    let json = done(lupe().args(["devices", "--self-test", "--json", "-q"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["kernels"].as_u64(), json["timed_out"].as_array().unwrap().len()), (Some(count as u64), 0));
    let hasty = ["devices", "--self-test", "--kernel-limit", "0.001"];
    refused(lupe().args(hasty), 124, &["within 0.001 s"]);
    refused(lupe().args(["devices", "--kernel-limit", "1"]), 2, &["--self-test"]);
    refused(lupe().args(["devices", "--self-test", "--kernel-limit", "0"]), 2, &["between 0.001 and 86400"]);
}
