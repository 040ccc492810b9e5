"""Tables of what was measured, for the terminal and for benches/RESULTS.md."""

import statistics

from driver import median, percentile, ratios
from setup import TRAINING

BEGIN, END = "<!-- peers -->", "<!-- end of peers -->"
WIDTHS = ("lupe256", "lupe512")
COLUMNS = ["system", "ms", "to {base}", "p10–p90", "to lupe256", "to lupe512", "GFLOP/s"]
COLUMNS += ["start ms", "empty cache ms", "memory MB", "peak MB", "difference"]


def number(value, digits=3):
    """So many digits that count, without an exponent."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.6f}"


def ratio(results, name, base):
    """Median, p10 and p90 of the ratios of one system's rounds to another's; None where they never met."""
    a, b = results.get(name, {}), results.get(base, {})
    rising = ratios(a, b) if a.get("rounds") and b.get("rounds") else []
    return [statistics.median(rising), percentile(rising, 0.1), percentile(rising, 0.9)] if rising else None


def row(name, stored):
    results, base = stored["results"], stored["base"]
    result = results[name]
    if "failed" in result:
        said = result["failed"].replace("|", "/")
        return [name, f"failed: {said}"] + [""] * (len(COLUMNS) - 2)
    ms, to_base = median(result), ratio(results, name, base)
    to_lupe = [number((ratio(results, name, w) or [None])[0]) for w in WIDTHS]
    spread = f"{number(to_base[1])}–{number(to_base[2])}" if to_base and name != base else "–"
    gflops = stored["flops"] / ms / 1e6 if stored["flops"] and ms else None
    rest = [number(result.get(k)) for k in ("start_ms", "cold_ms", "memory_mb", "peak_mb")] + [differs(result, stored)]
    return [name, number(ms), number(to_base and to_base[0]), spread, *to_lupe, number(gflops), *rest]


def differs(result, stored):
    """What the outputs say."""
    value = result.get("difference")
    if value is None:
        return "not compared"
    if stored["task"] == "coreset":
        return f"{100 * value:.0f} % other picks"
    return f"{value:.0e}" if value <= 1e-3 else f"**differs** {value:.0e}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c) for c in r) + " |" for r in rows]


def task_table(stored):
    head = [c.format(base=stored["base"]) for c in COLUMNS]
    rows = sorted(stored["results"], key=lambda n: median(stored["results"][n]) or float("inf"))
    title = f"### {stored['title']}"
    apart = "".join(f", {name} {version}" for name, version in stored.get("apart", {}).items())
    about = f"{stored['when']}, load {stored['load']:.2f} before, {stored['rounds']} rounds, Lupe {stored['lupe']}{apart}."
    return [title, "", about, ""] + table(head, [row(n, stored) for n in rows])


def bounds(stored):
    """What bounds Lupe: its kernels against the ceilings that were measured beside them."""
    lines, rows = [], []
    for name, found in stored.get("profiles", {}).items():
        copy, arithmetic = found["ceilings"]["copy"], found["ceilings"]["arithmetic"]
        least = sum(max(k["flops"] / arithmetic["rate"], k["bytes"] / copy["rate"]) for k in found["kernels"]) / 1e6
        base = median(stored["results"][stored["base"]]) if "failed" not in stored["results"][stored["base"]] else None
        times = f", {number(least / base)} times {stored['base']}" if base else ""
        noise = " (noisy)" if copy["noisy"] or arithmetic["noisy"] else ""
        lines.append(
            f"{name}: {found['sentence']} Ceilings{noise}: {number(arithmetic['rate'])} GFLOP/s, "
            f"{number(copy['rate'])} GB/s; with every kernel at its ceiling a run would take {number(least)} ms{times}."
        )
        for k in [k for k in found["kernels"] if k["share"] >= 0.01]:
            rates = [number(k["us"] / 1e3), f"{100 * k['share']:.0f} %", number(k["gflops"]), number(k["gbs"])]
            rows.append([name, k["node"], k["calls"], *rates, f"{100 * k['of_ceiling']:.0f} %, {k['bound']}"])
    if not rows:
        return []
    head = ["system", "kernel", "calls", "ms", "share", "GFLOP/s", "GB/s", "of ceiling"]
    return ["", *[part for line in lines for part in (line, "")], *table(head, rows)]


def bars(tasks):
    """The bars of the tasks that were measured: what, how far it should get (None: no bar, told beside one), how far it got."""
    rows = []

    def bar(task, name, what, limit, found, below=True):
        limit_text = "–" if limit is None else f"{'≤' if below else '≥'} {number(limit)}"
        if found is None:
            rows.append([task, name, what, limit_text, "not measured", ""])
            return
        value, spread = found, ""
        if isinstance(found, list):
            value, spread = found[0], f" ({number(found[1])}–{number(found[2])})"
        reached = limit is not None and (value <= limit if below else value >= limit)
        verdict = "reached" if reached else "missed" if limit is not None else ""
        rows.append([task, name, what, limit_text, number(value) + spread, verdict])

    for name, most in zip(WIDTHS, (5, 3.5)):
        for task in ("resnet18_b1", "wide_resnet50_2", "wide_resnet50_2_layer3", "pdn_s"):
            results = tasks.get(task, {}).get("results", {})
            if name not in results:
                continue
            bar(task, name, "times ort", most, ratio(results, name, "ort"))
            bar(task, name, "times as fast as ncnn_vulkan", 5, ratio(results, "ncnn_vulkan", name), below=False)
            bar(task, name, "times as fast as wonnx", 30, ratio(results, "wonnx", name), below=False)
            if task == "resnet18_b1":
                bar(task, name, "start with a warm cache, ms", 600, results[name].get("start_ms"))
                bar(task, name, "memory while it runs, MB", 300, results[name].get("memory_mb"))
        results = tasks.get("efficientnet_lite0_b1", {}).get("results", {})
        if name == "lupe256" and name in results:
            bar("efficientnet_lite0_b1", name, "times ort", 6, ratio(results, name, "ort"))
            faster = ratio(results, "ncnn_vulkan", name)
            bar("efficientnet_lite0_b1", name, "times as fast as ncnn_vulkan", 8, faster, below=False)
        for task in ("vit_s16_b1", "vit_s14_448"):
            if name == "lupe256" and name in tasks.get(task, {}).get("results", {}):
                bar(task, name, "times ort", 5, ratio(tasks[task]["results"], name, "ort"))
        for task in [t for t in tasks if t.startswith("knn") and name in tasks[t]["results"]]:
            bar(task, name, "times faiss", 4, ratio(tasks[task]["results"], name, "faiss"))
        if name in tasks.get("coreset", {}).get("results", {}):
            bar("coreset", name, "times numpy", 1.3, ratio(tasks["coreset"]["results"], name, "numpy"))
    training(tasks, bar)
    return rows


def training(tasks, bar):
    """A step of EfficientAD's training beside its forward pass, by medians: the two are measured one after the other, not in turns."""
    forward, step = (tasks.get(task, {}).get("results", {}) for task in TRAINING)
    for name in [n for n in (*WIDTHS, "torch") if n in forward and n in step]:
        both = [median(results[name]) for results in (step, forward)]
        limit = 2.6 if name in WIDTHS else None
        bar(TRAINING[1], name, "times its forward pass", limit, both[0] / both[1] if all(both) else None)
        if name in WIDTHS:
            to_torch = [ratio(results, name, "torch") for results in (step, forward)]
            found = to_torch if all(to_torch) else [None, [None]]
            bar(TRAINING[1], name, "times torch, at most a forward pass's", found[1][0], found[0])


def section(machine, tasks):
    """Everything, as it stands in benches/RESULTS.md."""
    lines = ["", *[f"- {k}: {v}" for k, v in machine.items()], ""]
    for stored in tasks.values():
        lines += [*task_table(stored), *bounds(stored), ""]
    lines += ["### Bars", ""]
    lines += table(["task", "system", "what", "bar", "measured (p10–p90)", ""], bars(tasks))
    return "\n".join(lines) + "\n\n"


def replaced(text, new):
    """`text` with what stands between the markers replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"benches/RESULTS.md should hold {BEGIN} and then {END}, once each: put them back")
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + new + END + rest.split(END)[1]
