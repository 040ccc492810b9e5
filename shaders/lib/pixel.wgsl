// Pixels of three bytes, packed in words of four, little end first, each row in words of its own; a table gives the number of a byte.

@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;

fn number(row: u32, column: u32, channel: u32) -> f32 {
    let at = 3u * column + ((p.order >> (8u * channel)) & 255u);
    let word = x[row * p.words + at / 4u];
    return table[256u * channel + ((word >> (8u * (at % 4u))) & 255u)];
}
