//! What a study writes for people, made up from many methods and from odd ones: whole, well-formed, the same twice, and safe to open.

use crate::common::study::{Made, category, method};
use crate::common::study_answers;
use lupe::study::analysis::{Analysis, Metric};
use lupe::study::{Category, Family, LeftOut, Method, Results, Task, Variant, report};
use std::collections::BTreeMap;

/// A name that every format would take for something else.
const ODD: &str = "<b>&\"x|y\u{202e}\u{0}`]]>'";

type Files = BTreeMap<String, Vec<u8>>;

fn files((results, analysis): &(Results, Analysis)) -> Files {
    let all = report::files(results, analysis).expect("a report");
    let count = all.len();
    let files: Files = all.into_iter().collect();
    assert_eq!(files.len(), count, "a name is there twice");
    files
}

fn text<'f>(files: &'f Files, name: &str) -> &'f str {
    let bytes = files.get(name).unwrap_or_else(|| panic!("no {name} among {:?}", files.keys()));
    std::str::from_utf8(bytes).expect("text")
}

/// A study in which every name of a user's is odd.
fn odd() -> Made {
    let mut made = Made::usual();
    made.categories =
        ["", "~", ".."].map(|end| category(&format!("{ODD}{end}"), 12, 8, &[(ODD, 7), ("=1+1", 7)])).to_vec();
    for (i, (m, _)) in made.methods.iter_mut().enumerate() {
        m.name = format!("={ODD}{i}");
        m.backbone = format!("@{ODD}");
        m.note = format!("-{ODD}\n{}", "long ".repeat(60));
        m.group = format!("{}{ODD}", m.group);
    }
    made.repeats = 1;
    made
}

/// Everything that a browser would fetch or run by itself.
fn loads(page: &str) -> Vec<String> {
    let mut found = vec![];
    for attribute in ["src=", "href=", "url(", "@import", "data=", "srcset=", "action=", "poster="] {
        for (at, _) in page.match_indices(attribute) {
            let rest = page[at + attribute.len()..].trim_start_matches(['"', '\'']);
            // An anchor of the page, or an icon that is empty.
            if !(rest.starts_with('#') || rest.starts_with("data:,")) {
                found.push(page[at..].chars().take(40).collect());
            }
        }
    }
    found
}

/// Every drawing: well-formed, named, and with something in it.
fn check_pictures(files: &Files) -> usize {
    let pictures: Vec<_> = files.iter().filter(|f| f.0.starts_with("plots/")).collect();
    for (name, bytes) in &pictures {
        let text = std::str::from_utf8(bytes).expect("text");
        let xml = roxmltree::Document::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let root = xml.root_element();
        assert!(root.has_tag_name(("http://www.w3.org/2000/svg", "svg")), "{name}");
        assert!(root.attribute("aria-label").is_some_and(|l| !l.is_empty()), "{name} has no label");
        let title = root.children().find(|c| c.is_element()).expect("a child");
        assert!(title.tag_name().name() == "title" && title.text().is_some_and(|t| !t.is_empty()), "{name}");
        let marks =
            xml.descendants().filter(|n| ["polyline", "polygon", "rect"].contains(&n.tag_name().name())).count();
        assert!(marks > 3, "{name} has {marks} marks");
        assert!(loads(text).is_empty(), "{name} loads {:?}", loads(text));
        for node in xml.descendants().filter(|n| n.is_element()) {
            let colored = ["fill", "stroke"].iter().any(|a| node.attribute(*a).is_some_and(|v| v.starts_with('#')));
            assert!(!colored || node.attribute("class").is_some(), "{name}: a colour without a class: {node:?}");
            assert!(
                !node.attributes().any(|a| a.value().contains("NaN") || a.value().contains("inf")),
                "{name}: {node:?}"
            );
        }
    }
    pictures.len()
}

/// The page: what is in it, and that nothing is fetched.
fn check_page(files: &Files) {
    let page = text(files, report::PAGE);
    assert!(loads(page).is_empty(), "the page loads {:?}", loads(page));
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Content-Security-Policy"));
    assert_eq!(page.matches("<script").count(), 1);
    let twice = page.split('<').filter_map(|tag| tag.split('>').next()).find(|tag| tag.matches(" class=").count() > 1);
    assert_eq!(twice, None, "an attribute is there twice");
    assert!(!page.contains("<b>&\"") && !page.contains("<b>x"), "a name became markup");
    for head in page.split("<thead>").skip(1) {
        let head = head.split("</thead>").next().expect("a head");
        assert_eq!(head.matches("<th ").count(), head.matches("scope=\"col\"").count());
    }
    for picture in page.split("<svg class=\"plot\"").skip(1) {
        let open = picture.split('>').next().expect("a tag");
        assert!(open.contains("role=\"img\"") && open.contains("aria-label=\""), "{open}");
        assert!(picture.split_once('>').is_some_and(|p| p.1.starts_with("<title>")), "{open}");
    }
}

#[test]
fn a_usual_study_has_everything() {
    let study = Made::usual().build();
    let files = files(&study);
    for name in ["episodes.jsonl", "results.csv", "summary.md", report::PAGE, "plots/time.svg", "plots/distances.svg"] {
        assert!(files.contains_key(name), "no {name}");
    }
    for category in ["bottle", "cable", "brick"] {
        let per_task = |kind: &'static str, tasks: &'static [&str]| tasks.iter().map(move |t| format!("{kind}-{t}"));
        let kinds = per_task("shots", &["T1", "T2", "T3"])
            .chain(per_task("imbalance", &["T4", "T5"]))
            .chain(per_task("confusion", &["T1", "T2", "T3"]))
            .chain(["two-way", "roc-T2", "good-pictures-T2"].map(String::from));
        for kind in kinds {
            assert!(files.contains_key(&format!("plots/{kind}-{category}.svg")), "no {kind} of {category}");
        }
    }
    assert_eq!(check_pictures(&files), 2 + 3 * 11);
    check_page(&files);
    let page = text(&files, report::PAGE);
    let panels = page.matches("<svg class=\"plot\"").count();
    assert!(panels >= 2 + 3 * (3 + 8 + 3 + 2 + 2), "{panels} panels");
    for said in &study.1.answers {
        assert!(page.contains(&format!("<strong>{}</strong>", said.short.replace('>', "&gt;"))), "{}", said.short);
    }
    // The answers come before anything else.
    let at = |needle: &str| page.find(needle).unwrap_or_else(|| panic!("no {needle}"));
    assert!(at("<ol class=\"answers\">") < at("<dl class=\"tiles\">") && at("<dl class=\"tiles\">") < at("<svg"));
    assert!(page.contains("painted by Lupe") && page.contains("lupe weights pull efficientad-m"));
    assert!(page.contains("<td class=\"t s\">83.4 ± 3.0</td>"));
}

#[test]
fn odd_names_stay_names() {
    let study = odd().build();
    let files = files(&study);
    assert!(check_pictures(&files) > 20);
    check_page(&files);
    for name in files.keys() {
        let fit = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        assert!(name.chars().all(fit) && !name.contains(".."), "{name}");
    }
    let mut table = csv::Reader::from_reader(files["results.csv"].as_slice());
    let heads = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), study.1.rows.len());
    for row in &rows {
        assert!(row[0].starts_with("'=<b>") && row[2].starts_with("'@<b>"), "{row:?}");
        assert!(!row.iter().any(|c| c.starts_with(['=', '+', '@'])), "{row:?}");
    }
    assert_eq!(heads.len(), 27);
    for (name, matrix) in files.iter().filter(|f| f.0.starts_with("confusion/")) {
        let mut table = csv::Reader::from_reader(matrix.as_slice());
        let n = table.headers().unwrap().len();
        assert_eq!(table.records().map(Result::unwrap).count(), n - 1, "{name}");
    }
    // Every row of a table of the summary has as many cells as its head.
    let mut cells = None;
    for line in text(&files, "summary.md").lines() {
        let bars = line.replace("\\|", "").matches('|').count();
        let row = line.starts_with('|');
        assert!(!row || *cells.get_or_insert(bars) == bars, "{line}");
        cells = cells.filter(|_| row);
        assert!(!line.contains("<b>"), "{line}");
    }
}

#[test]
fn the_same_bytes_twice_and_times_only_where_they_belong() {
    let (mut results, analysis) = Made::usual().build();
    let first = files(&(results.clone(), analysis.clone()));
    assert_eq!(first, files(&(results.clone(), analysis.clone())));
    for timing in &mut results.timing {
        timing.adapt_s = 17.0 * timing.adapt_s + 1.0;
        timing.infer_ms += 400.0;
    }
    let slower = files(&(results.clone(), analysis.clone()));
    let changed: Vec<&String> = first.keys().filter(|name| first[*name] != slower[*name]).collect();
    assert_eq!(changed, ["plots/time.svg", "report.html"]);
    assert!(first.keys().filter(|n| report::timed(n)).eq(changed), "what is told to depend on times does");
    results.timing.clear();
    let untimed = files(&(results, analysis));
    assert!(!untimed.contains_key("plots/time.svg") && text(&untimed, report::PAGE).contains("No times were kept."));
    let lasting = |all: &Files| all.clone().into_iter().filter(|f| !report::timed(&f.0)).collect::<Files>();
    assert_eq!(lasting(&untimed), lasting(&first));
}

#[test]
fn what_is_missing_is_said() {
    let mut made = Made::usual();
    made.methods.retain(|m| m.0.family == Family::Prototype && m.0.variant == Variant::Plain);
    made.methods.retain(|m| m.0.distance.as_deref() == Some("squared"));
    made.tasks = vec![Task::T3];
    made.repeats = 1;
    let (mut results, analysis) = made.build();
    results.timing.clear();
    let files = files(&(results, analysis));
    let page = text(&files, report::PAGE);
    check_page(&files);
    assert_eq!(check_pictures(&files), 6, "{:?}", files.keys());
    for said in [
        "Neither T4 nor T5 was run with a learner.",
        "No network took part with both distances.",
        "T2 was not run.",
        "No times were kept.",
        "Some numbers rest on 1 repeat: there is no interval there.",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let shown = page.split("<script").next().expect("all before the script");
    assert!(!shown.contains("NaN") && !text(&files, "summary.md").contains("NaN"));
}

#[test]
fn an_empty_study_is_a_page_too() {
    let mut made = Made::usual();
    made.methods.clear();
    made.categories.clear();
    let (mut results, mut analysis) = made.build();
    results.left_out = vec![LeftOut { what: ODD.into(), why: ODD.into(), command: Some(format!("a ``` {ODD}")) }];
    analysis.answers.clear();
    let files = files(&(results, analysis));
    check_page(&files);
    assert_eq!(check_pictures(&files), 0);
    assert!(text(&files, "summary.md").contains("````sh\na ``` <b>"));
}

#[test]
fn detectors_alone_and_learners_alone_are_drawn() {
    let only = |detects: bool| {
        let mut made = Made::usual();
        made.methods.retain(|m| m.0.family.detects() == detects);
        let files = files(&made.build());
        check_page(&files);
        check_pictures(&files);
        files
    };
    let detectors = only(true);
    assert!(!detectors.keys().any(|n| n.starts_with("plots/shots")), "{:?}", detectors.keys());
    assert!(
        detectors.contains_key("plots/two-way-bottle.svg")
            && detectors.contains_key("plots/good-pictures-T2-bottle.svg")
    );
    let learners = only(false);
    assert!(learners.contains_key("plots/good-pictures-T2-bottle.svg"));
    let page = text(&learners, report::PAGE);
    assert!(page.contains("not measured with so many good pictures"));
}

#[test]
fn many_methods_are_drawn_eight_at_most() {
    let mut made = Made::usual();
    for i in 0..40 {
        made.methods.push((method(&format!("another {i}"), Family::Prototype, "resnet18"), 0.3));
        made.methods.push((method(&format!("detector {i}"), Family::PatchCore, "resnet18"), 0.3));
    }
    let files = files(&made.build());
    for (name, picture) in files.iter().filter(|f| f.0.starts_with("plots/good-pictures")) {
        let xml = roxmltree::Document::parse(std::str::from_utf8(picture).unwrap()).unwrap();
        let names = xml.root_element().children().filter(|c| c.has_tag_name("text")).count() - 1;
        assert!((2..=8).contains(&names), "{name} draws {names}");
    }
    let page = text(&files, report::PAGE);
    assert!(page.contains("Left to the tables: ") && page.contains("another 7"));
}

#[test]
fn an_outcome_of_no_draw_is_an_error() {
    let (mut results, analysis) = Made::usual().build();
    results.draws.truncate(3);
    let error = report::files(&results, &analysis).expect_err("draws are missing").to_string();
    assert!(error.contains("there is no outcome"), "{error}");
}

#[test]
fn results_are_the_analysis_whole() {
    let study = Made::usual().build();
    let files = files(&study);
    let mut table = csv::Reader::from_reader(files["results.csv"].as_slice());
    let heads = table.headers().unwrap().clone();
    let column = |name: &str| heads.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    let (acc, auroc, limit) = (column("acc"), column("auroc"), column("limit"));
    for (row, of) in table.records().map(Result::unwrap).zip(&study.1.rows) {
        let number = |at: usize| row[at].parse::<f64>().ok();
        assert_eq!(number(acc), of.values.get(&Metric::Acc).copied());
        assert_eq!(number(auroc), of.values.get(&Metric::Auroc).copied(), "undefined is empty");
        assert_eq!(row[limit].is_empty(), of.limit.is_none());
    }
    let lines: Vec<&str> = text(&files, "episodes.jsonl").lines().collect();
    assert_eq!(lines.len(), study.0.draws.len());
    assert_eq!(serde_json::from_str::<lupe::study::Draw>(lines[7]).unwrap(), study.0.draws[7]);
}

#[test]
fn equal_slugs_are_files_apart() {
    let mut made = Made::usual();
    made.categories =
        ["a b", "a_b", "A/B"].map(|n| Category { painted: false, ..category(n, 9, 9, &[("x", 9)]) }).to_vec();
    let prototype =
        |name: &str| Method { distance: Some("cosine".into()), ..method(name, Family::Prototype, "resnet18") };
    made.methods = vec![(prototype("m n"), 0.5), (prototype("m_n"), 0.5)];
    let files = files(&made.build());
    let low: std::collections::BTreeSet<String> = files.keys().map(|n| n.to_lowercase()).collect();
    assert_eq!(low.len(), files.len(), "names differ in more than case");
    assert_eq!(files.keys().filter(|n| n.starts_with("plots/shots-T1-")).count(), 3);
}

#[test]
fn what_the_analysis_finds_fits_the_report() {
    let mut made = Made::usual();
    made.repeats = 3;
    made.categories.truncate(1);
    made.methods.retain(|m| !matches!(m.0.family, Family::Chain | Family::Caml | Family::SubspaceAd));
    let results = study_answers::answered(&made);
    let analysis = lupe::study::analysis::analyse(&results).expect("an analysis");
    assert_eq!(analysis.answers.len(), 4);
    let study = (results, analysis);
    let files = files(&study);
    assert_eq!(
        check_pictures(&files),
        2 + 12,
        "{:?}",
        files.keys().filter(|n| n.starts_with("plots")).collect::<Vec<_>>()
    );
    check_page(&files);
    let summary = text(&files, "summary.md");
    for (title, _) in &study.1.pairs {
        assert!(summary.contains(&format!("### {title}")), "no table {title}");
    }
    let page = text(&files, report::PAGE);
    let shown = page.split("<script").next().expect("all before the script");
    assert!(!shown.contains("NaN") && !shown.contains("method 1"));
    // Somebody may want to see it.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("study-analysed");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(report::PAGE), page).expect("a file");
}
