//! Small kernels that are deliberately wrong: each must be told, by what it does wrong.

use super::declared::{faults, list_faults};
use super::exceptions::{Exception, verdict};
use super::seen::look;
use super::tools::{GLSLANG, SPIRV_VAL, TINT};
use super::units::{List, Unit};
use lupe::engine::{Form, Kernel, Shader};

const RIGHT: &str = "
struct Params { len: u32, scale: f32, in0_pad: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
var<workgroup> s: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var a: array<f32, 4>;
    a[1] = textureLoad(x, vec2u(lane + p.in0_pad, 0u)).x;
    s[lane] = 0.0;
    for (var i = 0u; i < p.len; i++) { s[lane] += f32(i) * p.scale; }
    if lane < p.len { y[lane] = a[1] + s[lane]; }
}
";

fn kernel(source: &str) -> Kernel {
    let shader = Box::leak(Box::new(Shader { name: "planted", source: source.to_string().leak() }));
    let kernel = Kernel::new(shader, 1, 64).read(0, 2, Form::Image { pad: 0 });
    kernel.param("len", 64u32).param("scale", 1.0).shared(256).iterations(64)
}

fn told(kernel: &Kernel) -> String {
    let seen = kernel.source().map_err(|e| e.to_string()).and_then(|source| look(&source));
    seen.map_or_else(|e| e, |seen| faults(kernel, &seen).join("\n"))
}

/// Faults of `RIGHT` with one text replaced.
fn edited(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    told(&kernel(&RIGHT.replace(from, to)))
}

/// Faults of `RIGHT` with another declaration.
fn declared(change: impl Fn(Kernel) -> Kernel) -> String {
    told(&change(kernel(RIGHT)))
}

fn has(told: &str, phrase: &str) {
    assert!(told.contains(phrase), "{phrase:?} is not in {told:?}");
}

#[test]
fn a_right_kernel_has_no_fault() {
    assert_eq!(told(&kernel(RIGHT)), "");
}

#[test]
fn wrong_bindings_are_told() {
    has(&declared(|k| k.write(Form::Image { pad: 0 })), "binding 1");
    has(&declared(|k| k.read(0, 2, Form::Buffer)), "binding 2");
    has(&declared(|k| k.read(0, 3, Form::Image { pad: 0 })), "binding 3");
    has(&edited("rgba32float, read>", "rgba16float, read>"), "binding 2");
    has(&edited("read_write", "read"), "not permitted");
    let two = declared(|mut k| {
        k.reads.push((2, Form::Image { pad: 0 }));
        k
    });
    has(&two, "not bound in their order");
    has(
        &edited("var<workgroup> s", "@group(0) @binding(7) var<storage, read> z: array<f32>;\nvar<workgroup> s"),
        "z is bound",
    );
    has(&edited("@group(0) @binding(1)", "@group(1) @binding(1)"), "group 1");
}

#[test]
fn wrong_params_are_told() {
    has(&declared(|k| k.param("rows", 1u32)), "no field rows");
    has(&declared(|k| k.param("len", 1u32)), "len is given twice");
    has(&edited("len: u32, scale: f32", "len: u32, scale: f32, extra: u32"), "param extra");
    has(&declared(|k| Kernel { params: vec![("len", 1u32.into()), ("scale", 1u32.into())], ..k }), "param scale");
    has(&edited("in0_pad: u32", "in0_pad: u32, in1_pad: u32"), "param in1_pad");
    has(&edited("in0_pad: u32", "in0_pad: u32, out_pad: u32"), "param out_pad");
    has(&edited("in0_pad: u32", "in0_pad: u32, in0_depth: u32"), "param in0_depth");
    has(&edited("in0_pad: u32 }", "in0_pad: u32, at: vec2u }"), "at offset 16");
    let wide: String = (0..70).map(|i| format!(", a{i}: u32")).collect();
    has(&edited("in0_pad: u32", &format!("in0_pad: u32{wide}")), "256 bytes");
}

#[test]
fn wrong_needs_are_told() {
    has(&edited("workgroup_size(64)", "workgroup_size(32, 4)"), "64 invocations declared, naga sees 128");
    has(&edited("array<f32, 64>", "array<f32, 65>"), "naga sees 260");
    has(&declared(|k| k.shared(0)), "0 bytes of workgroup memory declared");
    has(&edited("= f32(i)", "= subgroupAdd(f32(i))"), "subgroup");
    has(&edited("lane: u32)", "lane: u32, @builtin(subgroup_size) n: u32)"), "subgroup");
    has(&declared(|k| k.subgroup(8)), "uses subgroups: false");
    has(&declared(|k| k.iterations(0)), "declares no iterations");
    has(&edited("fn main(", "fn other("), "not main");
}

#[test]
fn private_memory_indexed_by_a_variable_is_told() {
    has(&edited("a[1] + s", "a[lane % 4u] + s"), "main indexes private a");
    has(&edited("a[1] + s", "vec4f(s[0])[lane % 4u] + s"), "private values");
    has(&edited("s[lane] += f32(i)", "a[i % 4u] += f32(i); s[lane] += f32(i)"), "private a");
}

#[test]
fn loops_that_nothing_bounds_are_told() {
    for wrong in [
        "for (var i = 0u; i < p.len; i++) { if s[i] > 0.0 { i = 0u; }",
        "for (var i = 0u; i < u32(s[0]); i++) {",
        "for (var i = 0u; f32(i) < p.scale; i++) {",
        "for (var i = 0u; i < p.len; i += p.len) {",
        "for (var i = 9u; i > p.len; i++) {",
        "for (var i = 0u; i != p.len; i++) {",
        "for (var i = p.len; i >= 3u; i -= 4u) {",
        "var n = p.len; for (var i = 0u; i < n; i++) { n += 1u;",
        "var i = 0u; while s[i] < 1.0 { i++;",
        "var i = 0u; loop { if i > p.len { break; }",
    ] {
        has(&edited("for (var i = 0u; i < p.len; i++) {", wrong), "is not bounded");
    }
    has(&edited("i < p.len; i++) {", "i < p.len; i++) { // unroll"), "not a constant expression: p.len");
}

#[test]
fn loops_that_count_down_without_wrapping_are_right() {
    assert_eq!(edited("for (var i = 0u; i < p.len; i++) {", "for (var i = p.len; i >= 4u; i -= 4u) {"), "");
}

#[test]
fn a_list_without_a_portable_end_is_told() {
    let list = |kernels| List { op: "planted", title: String::new(), inputs: 1, kernels };
    let told = |kernels| list_faults(&list(kernels)).join("\n");
    assert_eq!(told(vec![kernel(RIGHT)]), "");
    has(&told(vec![]), "no candidate");
    has(&told(vec![kernel(RIGHT).subgroup(8)]), "base limits");
    has(&told(vec![kernel(RIGHT).shared(1 << 15)]), "base limits");
    has(&told(vec![kernel(RIGHT).groups(70_000, 1, 1)]), "base limits");
    has(&told(vec![kernel(RIGHT).iterations(60_001)]), "60001 loop trips");
    has(&told(vec![kernel(RIGHT), kernel(RIGHT)]), "two candidates are called");
    has(&told(vec![kernel(RIGHT).groups(0, 1, 1)]), "grid");
    let none = Kernel::new(kernel(RIGHT).shader, 0, 64);
    has(&told(vec![none]), "reads 0 of 1 inputs");
}

#[test]
fn the_tools_refuse_what_is_wrong() {
    for tool in [SPIRV_VAL, GLSLANG, TINT] {
        if tool.is_here() {
            let said = tool.judge(&[b"this is no shader".to_vec()]);
            assert!(said[0].is_some(), "{} accepts nonsense", tool.name);
        }
    }
    if GLSLANG.is_here() {
        let [right, wrong] =
            ["", "nonsense;"].map(|line| format!("#version 310 es\nvoid main() {{ {line} }}\n").into_bytes());
        let said = GLSLANG.judge(&[right.clone(), wrong, right]);
        assert_eq!(said.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false], "{said:?}");
    }
}

#[test]
fn an_exception_must_be_needed() {
    let unit = |label: &str| Unit {
        op: "planted",
        label: label.into(),
        source: String::new(),
        subgroup: false,
        portable: true,
        unchecked: false,
    };
    let (a, b) = (unit("wide a"), unit("b"));
    let units = [&a, &b];
    let table = [Exception { op: "planted", candidate: "wide", tool: "tint", reason: "known" }];
    let fails = |a: bool, b: bool| [a.then(|| "no".to_string()), b.then(|| "no".to_string())];
    assert!(verdict(&table, "tint", &units, &fails(true, false)).is_empty());
    has(&verdict(&table, "tint", &units, &fails(true, true)).join(""), "tint refuses planted: b");
    has(&verdict(&table, "tint", &units, &fails(false, false)).join(""), "delete its exception (known)");
    has(&verdict(&table, "spirv-val", &units, &fails(true, false)).join(""), "spirv-val refuses planted: wide a");
}
