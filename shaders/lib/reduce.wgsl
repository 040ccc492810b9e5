// One number from the LANES lanes of a row, in shared memory, in a fixed order. All lanes of the workgroup call it together.

var<workgroup> scratch: array<f32, WG>;

fn row_sum(v: f32, lane: u32) -> f32 {
    workgroupBarrier();
    scratch[lane] = v;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % LANES < half { scratch[lane] += scratch[lane + half]; }
    }
    workgroupBarrier();
    return scratch[lane / LANES * LANES];
}

fn row_max(v: f32, lane: u32) -> f32 {
    workgroupBarrier();
    scratch[lane] = v;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % LANES < half { scratch[lane] = maximum(scratch[lane], scratch[lane + half]); }
    }
    workgroupBarrier();
    return scratch[lane / LANES * LANES];
}
