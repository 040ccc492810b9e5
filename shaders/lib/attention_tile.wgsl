// Attention by tiles in workgroup memory: rows are tokens of one side, columns of the other, ROWS x COLUMNS scores at a time. An invocation
// has TM rows x 4 columns of a tile, and TM rows x C4 quads of what the tile's columns give to its rows.
const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 4u;
const D4: u32 = 16u; // quads of a head
const KV: u32 = 16u; // columns whose values are in workgroup memory at a time
const WG: u32 = WX * WY;
const M4: u32 = TM / 4u;
const C4: u32 = (D4 + WX - 1u) / WX;
const ROWS: u32 = WY * TM;
const R4: u32 = ROWS / 4u;
const COLUMNS: u32 = WX * 4u;
const K4: u32 = 4u; // quads of a head in workgroup memory at a time, of rows and columns
const ROW: u32 = R4 + WX + 1u; // in workgroup memory: a step of the head, of rows and columns, and one more, as in tile.wgsl
const BLOCKS: u32 = (R4 + WX) * K4; // of 4x4 elements
const LB: u32 = (BLOCKS + WG - 1u) / WG;
const LV: u32 = (KV * D4 + WG - 1u) / WG;

var<workgroup> tile: array<vec4f, max(K4 * 4u * ROW, KV * D4)>; // rows and columns [step, quad of tokens], or values [column, quad]
var<workgroup> shares: array<vec4f, COLUMNS * R4>; // [column, quad of rows]

// Four quads of a head, from `quad` on, of the rows from token `row` on and of the columns from token `column` on.
fn load_sides(head: vec2u, row: u32, column: u32, parts: vec2u, quad: u32, lane: u32) {
    for (var i = 0u; i < LB; i++) { // unroll
        let b = lane + i * WG;
        if LB * WG == BLOCKS || b < BLOCKS {
            let side = b / K4;
            let part = select(parts.y, parts.x, side < R4);
            let token = select(column + (side - R4) * 4u, row + side * 4u, side < R4);
            let at = quad + b % K4;
            let v0 = part_at(head, token, part, at);
            let v1 = part_at(head, token + 1u, part, at);
            let v2 = part_at(head, token + 2u, part, at);
            let v3 = part_at(head, token + 3u, part, at);
            let to = b % K4 * 4u * ROW + side;
            for (var j = 0u; j < 4u; j++) { tile[to + j * ROW] = vec4f(v0[j], v1[j], v2[j], v3[j]); } // unroll
        }
    }
}

// Adds the products of the steps in workgroup memory. Trips of loops are params, as in tile.wgsl: compilers that know them write loops
// out, and spill.
fn add_products(s: ptr<function, array<vec4f, TM>>, l: vec2u) {
    var at = 0u;
    for (var k = p.step; k >= 4u; k -= 4u) {
        for (var j = 0u; j < 4u; j++) { // unroll
            let b = tile[at + j * ROW + R4 + l.x];
            for (var m = 0u; m < M4; m++) { // unroll
                let a = tile[at + j * ROW + m * WY + l.y];
                for (var c = 0u; c < 4u; c++) { (*s)[m * 4u + c] = fma(vec4f(a[c]), b, (*s)[m * 4u + c]); } // unroll
            }
        }
        at += 4u * ROW;
    }
}

fn put_shares(s: array<vec4f, TM>, l: vec2u) {
    for (var m = 0u; m < M4; m++) { // unroll
        for (var i = 0u; i < 4u; i++) { // unroll
            shares[(l.x * 4u + i) * R4 + m * WY + l.y] = vec4f(s[m * 4u][i], s[m * 4u + 1u][i], s[m * 4u + 2u][i], s[m * 4u + 3u][i]);
        }
    }
}

fn load_values(head: vec2u, column: u32, part: u32, lane: u32) {
    for (var i = 0u; i < LV; i++) { // unroll
        let at = lane + i * WG;
        if LV * WG == KV * D4 || at < KV * D4 { tile[at] = part_at(head, column + at / D4, part, at % D4); }
    }
}

// Beyond the head's end, where it ends within a quad of invocations, something is read, and stored nowhere.
fn value_at(at: u32) -> u32 {
    if D4 % WX == 0u { return at; }
    return min(at, KV * D4 - 1u);
}

// Adds what the columns in workgroup memory, from number `first` of the tile on, give by their shares.
fn add_values(o: ptr<function, array<array<vec4f, C4>, TM>>, l: vec2u, first: u32) {
    var at = first * R4 + l.y;
    var from_tile = l.x;
    for (var k = p.step; k >= 4u; k -= 4u) {
        for (var j = 0u; j < 4u; j++) { // unroll
            for (var m = 0u; m < M4; m++) { // unroll
                let a = shares[at + j * R4 + m * WY];
                for (var n = 0u; n < C4; n++) { // unroll
                    let b = tile[value_at(from_tile + j * D4 + n * WX)];
                    for (var c = 0u; c < 4u; c++) { (*o)[m * 4u + c][n] = fma(vec4f(a[c]), b, (*o)[m * 4u + c][n]); } // unroll
                }
            }
        }
        at += 4u * R4;
        from_tile += 4u * D4;
    }
}
