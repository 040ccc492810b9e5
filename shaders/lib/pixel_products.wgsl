// sums[j] + what a lane has of PU pixels of x times channel j of dy there, one multiply-add after the other     A function rather than
// its text time and again: naga's front end takes time with the square of a function's expressions.

fn pixel_products(sums: array<V, 4>, x: array<V, PU>, d: array<vec4f, PU>) -> array<V, 4> {
    var s = sums;
    for (var u = 0u; u < PU; u++) { // unroll
        for (var j = 0u; j < 4u; j++) { s[j] = fma(x[u], V(d[u][j]), s[j]); } // unroll
    }
    return s;
}
