// The sum of one T from each of the LANES lanes of a column, COLUMNS lanes apart, in shared memory, in a fixed order; the column's first
// lane gets it. All lanes of the workgroup call it together.

var<workgroup> scratch: array<T, WG>;

fn down(v: T, lane: u32) -> T {
    scratch[lane] = v;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half * COLUMNS { scratch[lane] += scratch[lane + half * COLUMNS]; }
    }
    return scratch[lane];
}
