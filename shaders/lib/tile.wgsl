// Products in workgroup memory: TK steps of k of a tile, TM rows x TN columns per invocation. Every kernel that multiplies by tiles
// loads its own operands; how they lie here, and the multiply-adds, are the same for all.
// Rows are turned on their way in, so that a step of k needs TM + TN registers and not TM * 4 + TN: Intel's compiler spills otherwise.
// Eight invocations side by side store two quads of k of four row quads each: one vec4 of padding a step of k puts them on eight
// groups of banks (two without it), and they still load whole sectors of 32 bytes.
#import turned

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 8u;
const TN: u32 = 8u;
const TK: u32 = 16u;
const TU: u32 = 4u; // steps of k that are written out
const AHEAD: bool = false; // the next TK steps are loaded into registers while these are multiplied
const LEAST: u32 = 0u; // vec4 that the array below has at least
const AFTER: u32 = select(0u, TK / 4u, AHEAD); // quads of k that a loop goes on for after its last load
const WG: u32 = WX * WY;
const K4: u32 = TK / 4u;
const BM: u32 = WY * TM;
const BM4: u32 = BM / 4u;
const BN4: u32 = WX * TN / 4u;
const M4: u32 = TM / 4u;
const N4: u32 = TN / 4u;
const ROW: u32 = BM4 + 1u; // in workgroup memory
const RIGHT: u32 = TK * ROW; // where the right operand begins there
const LA: u32 = (BM4 * K4 + WG - 1u) / WG; // 4x4 blocks of the left operand per invocation
const LB: u32 = (TK * BN4 + WG - 1u) / WG; // vec4 of the right operand per invocation

var<workgroup> tile: array<vec4f, max(RIGHT + TK * BN4, LEAST)>; // left [k, row quad], then right [k, column quad]

// Whether there is a block b of the left operand: where a tile has less of them than invocations, some load none.
fn has_left(b: u32) -> bool {
    return LA * WG == BM4 * K4 || b < BM4 * K4;
}

// Whether there is a vec4 b of the right operand; its k is b / BN4.
fn has_right(b: u32) -> bool {
    return LB * WG == TK * BN4 || b < TK * BN4;
}

// Adds the products of the steps in workgroup memory. There are `p.step` of them, which is TK: compilers that know a loop's trips write
// it out, and spill.
fn add_products(sums: ptr<function, array<array<vec4f, N4>, TM>>, l: vec2u) {
    var ia = l.y;
    var ib = RIGHT + l.x;
    for (var k = p.step; k >= TU; k -= TU) {
        for (var j = 0u; j < TU; j++) { // unroll
            var a: array<vec4f, M4>;
            for (var m = 0u; m < M4; m++) { a[m] = tile[ia + j * ROW + m * WY]; } // unroll
            for (var n = 0u; n < N4; n++) { // unroll
                let b = tile[ib + j * BN4 + n * WX];
                for (var m = 0u; m < M4; m++) { // unroll
                    for (var c = 0u; c < 4u; c++) { // unroll
                        (*sums)[m * 4u + c][n] = fma(vec4f(a[m][c]), b, (*sums)[m * 4u + c][n]);
                    }
                }
            }
        }
        ia += TU * ROW;
        ib += TU * BN4;
    }
}

// What follows the loads of turn s.x of s.y quads of k, by all invocations. Loaded ahead, they wait in registers until the products of the
// turn before are added; else they are in workgroup memory by now, and their own products are.
fn turn(
    sums: ptr<function, array<array<vec4f, N4>, TM>>, left: ptr<function, array<array<vec4f, 4>, LA>>, right: ptr<function, array<vec4f, LB>>,
    l: vec2u, lane: u32, s: vec2u,
) {
    if AHEAD {
        if s.x > 0u { add_products(sums, l); }
        workgroupBarrier();
        if s.x < s.y {
            for (var i = 0u; i < LA; i++) { if has_left(lane + i * WG) { put_left(lane + i * WG, (*left)[i]); } } // unroll
            for (var i = 0u; i < LB; i++) { if has_right(lane + i * WG) { tile[RIGHT + lane + i * WG] = (*right)[i]; } } // unroll
        }
    }
    workgroupBarrier();
    if !AHEAD {
        add_products(sums, l);
        workgroupBarrier();
    }
}
