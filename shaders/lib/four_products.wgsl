// sums[j] + four weights x the four channels of v[j], one multiply-add after the other     A function rather than its text time and
// again: naga's front end takes time with the square of a function's expressions, of the text written out a third of a network's start.
const DEPTH: u32 = 4u; // channels that count, the others are zeros

fn four_products(sums: array<vec4f, TN>, v: array<vec4f, TN>, k: array<vec4f, 4>) -> array<vec4f, TN> {
    var s = sums;
    for (var c = 0u; c < DEPTH; c++) { // unroll
        for (var j = 0u; j < TN; j++) { s[j] = fma(k[c], vec4f(v[j][c]), s[j]); } // unroll
    }
    return s;
}
