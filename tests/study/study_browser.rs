//! A study's page in a browser: nothing is requested, nothing complains, every plot is drawn, a phone need not scroll sideways.

use crate::common::skip;
use crate::common::study::Made;
use lupe::study::report;
use std::path::Path;
use std::process::Command;

/// Names under which Chromium is installed.
const BROWSERS: [&str; 5] = ["chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome"];

/// The browser that is here. Where there is none, the test is skipped, and fails where `CI` is set.
fn browser() -> Option<&'static str> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    let found = BROWSERS.iter().copied().find(runs);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "none of {BROWSERS:?} is on the PATH (Debian: chromium)");
        skip::skip(&skip::this_test(), "no Chromium is on the PATH (Debian: chromium)");
    }
    found
}

/// What is looked at from inside: the page in a frame of each width, since browsers have a least width of their own.
const PROBE: &str = r##"
const found = [];
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, root = page.documentElement, view = frame.contentWindow;
  const width = frame.clientWidth;
  const say = (what) => found.push(`${width}: ${what}`);
  if (root.scrollWidth > width) say(`scrolls sideways to ${root.scrollWidth}`);
  for (const node of page.querySelectorAll("body *")) {
    const box = node.getBoundingClientRect();
    if (box.right > width + 1 && !node.closest(".wide, pre, svg, .skip")) say(`${node.tagName} ${node.className} ends at ${box.right}`);
  }
  const plots = [...page.querySelectorAll("svg.plot")];
  if (plots.length < 50) say(`only ${plots.length} plots`);
  for (const plot of plots) {
    const box = plot.getBoundingClientRect(), inside = plot.getBBox();
    const least = plot.classList.contains("swatch") ? 10 : 100;
    if (box.width < least || box.height < least || inside.width < least || inside.height < 5)
      say(`${plot.getAttribute("aria-label")} is ${box.width} x ${box.height}`);
    const ratio = plot.viewBox.baseVal.width / box.width;
    for (const text of plot.querySelectorAll("text")) {
      const size = parseFloat(text.getAttribute("font-size")) / ratio;
      if (size < 8) say(`text of ${size} pixels in ${plot.getAttribute("aria-label")}`);
      const own = text.getBBox(), all = plot.viewBox.baseVal;
      if (!text.hasAttribute("transform") && (own.x < -1 || own.x + own.width > all.width + 1 || own.y < -1 || own.y + own.height > all.height + 1))
        say(`"${text.textContent}" leaves ${plot.getAttribute("aria-label")}`);
    }
  }
  const loaded = view.performance.getEntriesByType("resource").map((entry) => entry.name);
  if (loaded.length) say(`requested ${loaded}`);
  const ids = [...page.querySelectorAll("[id]")].map((node) => node.id);
  if (new Set(ids).size !== ids.length) say("an id is there twice");
  for (const link of page.querySelectorAll('a[href^="#"]'))
    if (!page.getElementById(link.hash.slice(1))) say(`${link.hash} leads nowhere`);
  const levels = [...page.querySelectorAll("h1, h2, h3, h4")].map((head) => Number(head.tagName[1]));
  levels.forEach((level, i) => { if (level > (levels[i - 1] ?? 0) + 1) say(`a heading of level ${level} after ${levels[i - 1]}`); });
  // Sorting: the column of AUROC in the first table, down and then up.
  const table = page.querySelector("table"), heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex((head) => head.textContent === "balanced accuracy");
  const values = () => [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.v).filter((v) => v !== undefined).map(Number);
  for (const [order, sign] of [["descending", -1], ["ascending", 1]]) {
    heads[column].querySelector("button").click();
    const now = values();
    if (now.length < 2 || now.some((v, i) => i && sign * (v - now[i - 1]) < 0)) say(`not ${order}: ${now}`);
    if (heads[column].getAttribute("aria-sort") !== order) say(`aria-sort is not ${order}`);
  }
  say(`looked at ${plots.length} plots`);
}
const out = document.createElement("pre");
out.id = "found";
out.textContent = found.join("\n");
document.body.append(out);
document.querySelectorAll("iframe").forEach((frame) => frame.remove());
"##;

/// What the browser writes to its log and how it leaves the document.
fn run(browser: &str, folder: &Path, page: &Path) -> (String, String) {
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    // Nothing that it might ask for could be found.
    command.args([
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--disable-background-networking",
        "--disable-component-update",
    ]);
    command.args(["--enable-logging=stderr", "--window-size=1500,1000", "--virtual-time-budget=20000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    let output = command.arg(format!("file://{}", page.display())).output().expect("the browser starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (dom, log) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && !dom.is_empty(), "{browser} ended with {}: {log}", output.status);
    (dom, log)
}

fn quoted(page: &str) -> String {
    page.replace('&', "&amp;").replace('"', "&quot;")
}

#[test]
fn the_page_is_whole_at_every_width() {
    let Some(browser) = browser() else { return };
    let (results, analysis) = Made::usual().build();
    let files = report::files(&results, &analysis).expect("a report");
    // It stays there, for somebody who wants to see it.
    let (folder, scratch) =
        (Path::new(env!("CARGO_TARGET_TMPDIR")).join("study"), tempfile::tempdir().expect("a folder"));
    for (name, bytes) in &files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    // As it is opened from disk: the console says nothing.
    let page = folder.join(report::PAGE);
    let (dom, log) = run(browser, scratch.path(), &page);
    assert!(dom.contains("<ol class=\"answers\">"), "the page is not shown");
    let console: Vec<&str> = log.lines().filter(|l| l.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:#?}");
    // From inside, at the widths of a phone, a tablet and a desk.
    let text = quoted(&std::fs::read_to_string(&page).expect("the page"));
    let frame =
        |width: u32| format!("<iframe style=\"width:{width}px;height:900px;border:0\" srcdoc=\"{text}\"></iframe>");
    let frames: String = [390, 820, 1400].map(frame).concat();
    let probe = format!(
        "<!doctype html><meta charset=\"utf-8\">{frames}<script>addEventListener('load', () => {{{PROBE}}});</script>"
    );
    let path = scratch.path().join("probe.html");
    std::fs::write(&path, probe).expect("a file");
    let (dom, log) = run(browser, scratch.path(), &path);
    let console: Vec<&str> = log.lines().filter(|l| l.contains("CONSOLE")).collect();
    let (_, found) =
        dom.split_once("<pre id=\"found\">").unwrap_or_else(|| panic!("nothing was looked at: {console:#?}"));
    let found: Vec<&str> = found.split("</pre>").next().unwrap_or_default().lines().collect();
    let (looked, faults): (Vec<&str>, Vec<&str>) = found.iter().partition(|l| l.contains("looked at"));
    assert_eq!(looked.len(), 3, "{looked:?} {console:#?}");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_page_that_asks_for_something_would_be_seen() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("bad.html");
    let bad = "<!doctype html><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\"><img src=\"x.png\">";
    std::fs::write(&page, bad).expect("a file");
    let (_, log) = run(browser, folder.path(), &page);
    assert!(log.lines().any(|l| l.contains("CONSOLE")), "{log}");
}
