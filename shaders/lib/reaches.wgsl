// Whether a number is at least the threshold. One that is no number always counts; a threshold that is none leaves out all others.

fn reaches(v: T, least: f32) -> B {
    return (v >= T(least)) | ((bitcast<U>(v) & U(0x7fffffffu)) > U(0x7f800000u));
}
