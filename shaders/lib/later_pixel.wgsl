// The pixel of the output (column, row, picture) that comes so many after this one, as p.step_x, step_y and step_n say: they are its
// remainder by the columns, the rest's by the rows, and what is left.

fn later(at: vec3u) -> vec3u {
    let x = at.x + p.step_x;
    let over = x >= p.wo;
    let y = at.y + p.step_y + select(0u, 1u, over);
    let below = y >= p.ho;
    return vec3u(select(x, x - p.wo, over), select(y, y - p.ho, below), at.z + p.step_n + select(0u, 1u, below));
}
