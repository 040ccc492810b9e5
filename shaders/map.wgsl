// y = OP(x) or OP(x, b), element by element     one invocation per T; flat grid; the snippet says what b is
#import grid
#import maximum
#import second_none

alias T = f32; // or vec4f, then U = vec4u and sizes count fours
alias U = u32;
const WG: u32 = 256u;

const NEG: u32 = 0u;
const ABS: u32 = 1u;
const EXP: u32 = 2u;
const SQRT: u32 = 3u;
const SQUARE: u32 = 4u;
const AFFINE: u32 = 5u;
const ADD: u32 = 6u;
const SUB: u32 = 7u;
const MUL: u32 = 8u;
const DIV: u32 = 9u;
const MAXIMUM: u32 = 10u;
const AT_LEAST: u32 = 11u;
const OP: u32 = NEG;

struct Params { len: u32, cols: u32, scale: f32, shift: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

fn result(v: T, b: T) -> T {
    if OP == NEG { return -v; }
    if OP == ABS { return abs(v); }
    if OP == EXP { return keep_nan(v, exp(v)); }
    if OP == SQRT { return keep_nan(v, sqrt(v)); }
    if OP == SQUARE { return v * v; }
    if OP == AFFINE { return v * p.scale + p.shift; }
    if OP == ADD { return v + b; }
    if OP == SUB { return v - b; }
    if OP == MUL { return v * b; }
    if OP == DIV { return v / b; }
    if OP == AT_LEAST { return select(T(1.0), T(0.0), b > v); }
    return maximum(v, b);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    y[i] = result(x[i], second(i));
}
