// A buffer of rows of p.c values: the one of row r in a column.

@group(0) @binding(2) var<storage, read> x: array<T>;

fn value_at(r: u32, column: u32) -> T {
    return x[r * p.c + column];
}
