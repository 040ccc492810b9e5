//! The files of `examples/scale`, held to what Slurm, Kubernetes and Dagster take, and carried out with a program in Lupe's place.

use crate::common;
use crate::common::experiments::data;
use crate::common::program::{lupe, text};
use crate::common::schemas::{JOB, SBATCH, STUB};
use crate::common::skip::skip;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scale").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(example(name)).unwrap()
}

/// The stub in a folder, and the folder of a study beside it.
fn stubbed(dir: &Path) -> (PathBuf, PathBuf) {
    let stub = dir.join("stub");
    fs::write(&stub, STUB).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    }
    (stub, dir.join("study"))
}

fn ran(command: &mut Command) -> Result<(), String> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    if status.success() { Ok(()) } else { Err(text(&stdout) + &text(&stderr)) }
}

/// The options of a batch script, which end at the first command; those that are commented out aside.
fn directives(text: &str) -> Vec<String> {
    let head = text.lines().take_while(|l| l.starts_with('#') || l.trim().is_empty());
    head.filter_map(|l| l.strip_prefix("#SBATCH ")).map(String::from).collect()
}

#[test]
fn slurm_takes_the_scripts() {
    for name in ["study.sbatch", "merge.sbatch"] {
        let text = read(name);
        assert!(text.starts_with("#!/bin/bash\n"), "{name}: Slurm asks for an interpreter in the first line");
        let options = directives(&text);
        assert!(options.len() > 5, "{name}: {options:?}");
        for option in &options {
            let long = option.strip_prefix("--").unwrap_or_else(|| panic!("{name}: {option}"));
            let (known, value) = long.split_once('=').unwrap_or((long, "."));
            assert!(SBATCH.contains(&known) && !value.is_empty() && !value.contains(' '), "{name}: {option}");
        }
        let after = text.lines().skip_while(|l| l.starts_with('#') || l.trim().is_empty());
        assert!(
            !after.into_iter().any(|l| l.contains("#SBATCH")),
            "{name}: an option behind the first command is ignored"
        );
        // As is said in the scripts themselves.
        let flags = text.split_whitespace().filter_map(|w| w.trim_matches(['`', '(']).strip_prefix("--"));
        let flags: BTreeSet<&str> = flags.map(|f| f.split('=').next().unwrap()).collect();
        let unknown: Vec<_> = flags.iter().filter(|f| !SBATCH.contains(f) && **f != "shard").collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}

#[test]
#[cfg(unix)]
fn a_slurm_array_runs_every_shard_and_what_depends_on_it_merges_them() {
    let dir = tempfile::tempdir().unwrap();
    let (stub, out) = stubbed(dir.path());
    let script = |name: &str, task: Option<&str>| {
        let mut command = Command::new("bash");
        command.arg(example(name)).env("LUPE", &stub).env("OUT", &out).env("PLAN", "a plan.toml").env("SHARDS", "3");
        command.env_remove("SLURM_ARRAY_TASK_ID").env("SLURM_ARRAY_TASK_COUNT", "1");
        command.envs(task.map(|task| ("SLURM_ARRAY_TASK_ID", task)));
        command
    };
    for name in ["study.sbatch", "merge.sbatch"] {
        ran(Command::new("bash").arg("-n").arg(example(name))).unwrap();
    }
    for task in ["1", "2", "3"] {
        ran(&mut script("study.sbatch", Some(task))).unwrap();
    }
    // What an earlier study left is no shard of this one.
    fs::create_dir(out.join("shard-4")).unwrap();
    fs::write(out.join("shard-4/words"), "stale").unwrap();
    ran(&mut script("merge.sbatch", None)).unwrap();
    assert_eq!(
        fs::read_to_string(out.join("all/words")).unwrap(),
        "a plan.toml 1/3\na plan.toml 2/3\na plan.toml 3/3\n"
    );
    for (task, said) in
        [(Some("0"), "counted from 1"), (Some("4"), "counted from 1"), (None, "submit this with --array")]
    {
        let error = ran(&mut script("study.sbatch", task)).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    let error = ran(script("study.sbatch", Some("1")).env_remove("SHARDS")).unwrap_err();
    assert!(error.contains("how many shards there are"), "{error}");
    // The code of a shard is the job's: what depends on it must not begin.
    fs::write(&stub, "#!/bin/sh\nexit 130\n").unwrap();
    assert_eq!(script("study.sbatch", Some("1")).status().unwrap().code(), Some(130));
}

fn as_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(b)) => Value::from(*b),
        Yaml::Value(Scalar::Integer(i)) => Value::from(*i),
        Yaml::Value(Scalar::FloatingPoint(f)) => Value::from(f.0),
        Yaml::Value(Scalar::String(s)) => Value::from(s.as_ref()),
        Yaml::Sequence(all) => all.iter().map(as_json).collect(),
        Yaml::Mapping(map) => {
            let entry =
                |(key, value): (&Yaml<'_>, &Yaml<'_>)| (as_json(key).as_str().unwrap().to_string(), as_json(value));
            Value::Object(map.iter().map(entry).collect::<Map<_, _>>())
        }
        other => panic!("{other:?}"),
    }
}

fn jobs() -> [Value; 2] {
    let documents = Yaml::load_from_str(&read("job.yaml")).unwrap().iter().map(as_json).collect::<Vec<_>>();
    documents.try_into().expect("two jobs")
}

/// Holds every field below a path to the schema.
fn hold(path: &str, value: &Value) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) => {
            if n.is_i64() {
                "integer"
            } else {
                "number"
            }
        }
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !path.is_empty() {
        assert!(JOB.contains(&(path, kind)), "{path}: {kind} is no field of a Job");
    }
    match value {
        Value::Array(all) => all.iter().for_each(|v| hold(&format!("{path}[]"), v)),
        Value::Object(map) => {
            for (key, v) in map {
                hold(format!("{path}.{key}").trim_start_matches('.'), v);
            }
        }
        _ => {}
    }
}

/// The value of a container's variable.
fn variable<'j>(container: &'j Value, name: &str) -> &'j str {
    let all = container["env"].as_array().unwrap();
    all.iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("no {name}"))["value"].as_str().unwrap()
}

#[test]
fn kubernetes_takes_the_jobs() {
    for job in &jobs() {
        hold("", job);
        assert_eq!((&job["apiVersion"], &job["kind"]), (&"batch/v1".into(), &"Job".into()));
        let pod = &job["spec"]["template"]["spec"];
        assert!(
            ["Never", "OnFailure"].contains(&pod["restartPolicy"].as_str().unwrap()),
            "a Job's pods may not be Always"
        );
        let [container] = pod["containers"].as_array().unwrap().as_slice() else { panic!("one container") };
        let volumes: Vec<&Value> = pod["volumes"].as_array().unwrap().iter().map(|v| &v["name"]).collect();
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|m| volumes.contains(&&m["name"])));
        assert_eq!(mounts[0]["mountPath"], variable(container, "STUDY"), "shards lie on the storage that is shared");
        for name in [&job["metadata"]["name"], &container["name"]] {
            let name = name.as_str().unwrap();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
    }
    let [study, merge] = &jobs();
    let (spec, pod) = (&study["spec"], &study["spec"]["template"]["spec"]);
    assert_eq!(spec["completionMode"], "Indexed");
    let shards = spec["completions"].as_i64().unwrap();
    assert!((1..=shards).contains(&spec["parallelism"].as_i64().unwrap()));
    for job in [study, merge] {
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(variable(container, "SHARDS"), shards.to_string());
    }
    // A policy of failed pods asks for pods that are not restarted, a limit for each index for indexed completions.
    assert_eq!(pod["restartPolicy"], "Never");
    assert!(spec["backoffLimitPerIndex"].is_i64() && spec["maxFailedIndexes"].as_i64().unwrap() <= shards);
    for rule in spec["podFailurePolicy"]["rules"].as_array().unwrap() {
        assert!(["FailJob", "FailIndex", "Ignore", "Count"].contains(&rule["action"].as_str().unwrap()));
        let Some(codes) = rule.get("onExitCodes") else { continue };
        assert_eq!(codes["containerName"], pod["containers"][0]["name"]);
        assert!(["In", "NotIn"].contains(&codes["operator"].as_str().unwrap()));
        let ended = codes["values"].as_array().unwrap().iter().map(|c| c.as_i64().unwrap());
        assert!(ended.clone().all(|c| c != 0) && !ended.clone().any(|c| c == 130), "what was interrupted goes on");
    }
    assert_eq!(merge["spec"]["suspend"], true, "it waits until all shards are there");
    let text = read("job.yaml");
    for job in [study, merge] {
        assert!(text.contains(&format!("job/{}", job["metadata"]["name"].as_str().unwrap())), "how it is waited for");
    }
}

#[test]
#[cfg(unix)]
fn an_indexed_job_runs_every_shard_and_the_second_one_merges_them() {
    let dir = tempfile::tempdir().unwrap();
    let (stub, out) = stubbed(dir.path());
    let [study, merge] = &jobs();
    let container = |job: &Value, index: Option<i64>| {
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let words = |name: &str| -> Vec<String> {
            container[name].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_string()).collect()
        };
        let (command, args) = (words("command"), words("args"));
        let mut command_line = Command::new(&command[0]);
        command_line.args(&command[1..]).args(args).env("LUPE", &stub).env("STUDY", &out);
        command_line.env("SHARDS", variable(container, "SHARDS"));
        command_line.envs(index.map(|i| ("JOB_COMPLETION_INDEX", i.to_string())));
        command_line
    };
    let n = study["spec"]["completions"].as_i64().unwrap();
    for index in 0..n {
        ran(&mut container(study, Some(index))).unwrap();
    }
    ran(&mut container(merge, None)).unwrap();
    let want: String = (1..=n).map(|i| format!("{}/plan.toml {i}/{n}\n", out.display())).collect();
    assert_eq!(fs::read_to_string(out.join("all/words")).unwrap(), want);
}

/// Whether this program has the command.
fn experiments() -> bool {
    lupe().args(["help", "experiment"]).output().unwrap().status.success()
}

#[test]
fn the_program_takes_the_words_that_the_files_use() {
    if !experiments() {
        return skip("the_program_takes_the_words_that_the_files_use", "this program has no `experiment`");
    }
    for (verb, flags) in [("run", ["-o", "--shard"].as_slice()), ("merge", &["-o"]), ("plan", &[])] {
        let help = common::program::done(lupe().args(["help", "experiment", verb]));
        assert!(flags.iter().all(|flag| help.contains(flag)), "{verb}: {help}");
    }
}

/// A study that is over in seconds.
const PLAN: &str = "name = \"tiny\"\nrepeats = 4\n\n[[category]]\npath = \"parts\"\n\n[tasks.T2]\nshots = [1, 2]\n\n[[method]]\nkind = \"prototype\"\n";

/// The program that Dagster's ops run: the one that `LUPE` names, this one, or a stub while it has no `experiment`.
fn program(dir: &Path) -> (PathBuf, bool) {
    match std::env::var_os("LUPE") {
        Some(named) => (named.into(), false),
        None if experiments() => (env!("CARGO_BIN_EXE_lupe").into(), true),
        None => (stubbed(dir).0, false),
    }
}

/// Python with PyPI's package, in a folder that later runs find again.
fn python() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dagster");
    let python = venv.join("bin/python");
    let there = Command::new(&python).args(["-c", "import dagster"]).output().is_ok_and(|o| o.status.success());
    if !there {
        ran(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        ran(Command::new(&python).args(["-m", "pip", "install", "--quiet", "dagster>=1.9,<2"]))?;
    }
    Ok(python)
}

const JOB_RUN: &str = "import json, sys
sys.path.insert(0, sys.argv[1])
from study_dagster import study
config = {'resources': {'settings': {'config': json.loads(sys.argv[2])}}}
result = study.execute_in_process(run_config=config, raise_on_error=False)
assert result.success
print(result.output_for_node('merge'))
";

#[test]
#[cfg(unix)]
fn dagster_runs_two_shards_and_merges_them() {
    let name = "dagster_runs_two_shards_and_merges_them";
    if std::env::var_os("LUPE_FULL").is_none() {
        return skip(name, "it installs a package; `make test-full` runs it");
    }
    let python = match python() {
        Ok(python) => python,
        Err(why) if std::env::var_os("CI").is_none() => return skip(name, &format!("no Dagster: {why}")),
        Err(why) => panic!("{why}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let (lupe, real) = program(dir.path());
    if real && common::program::no_gpu() {
        return;
    }
    data(&dir.path().join("parts"));
    let (plan, out) = (dir.path().join("plan.toml"), dir.path().join("out"));
    fs::write(&plan, PLAN).unwrap();
    let run = |out: &Path, lupe: &Path| {
        let config = serde_json::json!({"plan": plan, "out": out, "shards": 2, "lupe": lupe});
        let mut command = Command::new(&python);
        command.args(["-c", JOB_RUN]).arg(example("")).arg(config.to_string());
        command.env("DAGSTER_DISABLE_TELEMETRY", "yes").env("DAGSTER_HOME", dir.path());
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("LUPE_NO_REEXEC", "1");
        command.output().unwrap()
    };
    let output = run(&out, &lupe);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert_eq!(said.trim(), out.join("all").display().to_string());
    if real {
        let whole = dir.path().join("whole");
        ran(common::program::lupe().args(["experiment", "run"]).arg(&plan).arg("-o").arg(&whole)).unwrap();
        let read = |folder: &Path| fs::read(folder.join("episodes.jsonl")).unwrap();
        assert!(read(&out.join("all")) == read(&whole), "two shards are not one run");
    } else if std::env::var_os("LUPE").is_none() {
        let words = fs::read_to_string(out.join("all/words")).unwrap();
        assert_eq!(words, format!("{0} 1/2\n{0} 2/2\n", plan.display()));
    }
    // What cannot get better by another try fails at once; nothing is merged then.
    let (bad, again) = (dir.path().join("bad"), dir.path().join("again"));
    fs::copy(stubbed(dir.path()).0, &bad).unwrap();
    fs::write(&bad, "#!/bin/sh\necho tried >> \"$0.log\"\necho wrong plan\nexit 2\n").unwrap();
    let output = run(&again, &bad);
    assert!(!output.status.success() && text(&output.stderr).contains("wrong plan"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(dir.path().join("bad.log")).unwrap(), "tried\ntried\n", "each shard once");
    assert!(!again.join("all").exists());
}
