// Depthwise convolution, R x C outputs an invocation: the products of one row of the window for C outputs, one multiply-add after the
// other. Weights go from left to right, rows from top to bottom, whatever R and C.
const R: u32 = 1u;
const C: u32 = 4u;
const KH: u32 = 3u;
const KW: u32 = 3u;
const SH: u32 = 1u; // strides
const SW: u32 = 1u;
const WIDE: u32 = (C - 1u) * SW + KW; // columns of the input that C outputs read
const TALL: u32 = (R - 1u) * SH + KH; // rows that R outputs read

fn row_products(sums: array<T, C>, v: array<T, WIDE>, k: array<T, KW>) -> array<T, C> {
    var s = sums;
    for (var i = 0u; i < KW; i++) { // unroll
        for (var j = 0u; j < C; j++) { s[j] = fma(v[j * SW + i], k[i], s[j]); } // unroll
    }
    return s;
}
