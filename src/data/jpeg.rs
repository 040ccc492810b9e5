//! What a JPEG's markers tell before it is decoded. The decoder fills what is missing with gray, and mistakes CMYK for RGB.

/// Why a JPEG must not be decoded, if there is a reason, and what to do about it.
pub(super) fn objection(bytes: &[u8]) -> Option<&'static str> {
    const TRUNCATED: Option<&str> = Some("is a truncated JPEG file: its end marker is missing; copy it again");
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((marker, body, after)) = segment(rest) {
        match (marker, body) {
            (0xc0..=0xc2, [8, _, _, _, _, 4, ..]) => {
                return Some("is a CMYK JPEG, whose colours depend on the printer; save it as RGB");
            }
            (0xc0..=0xc2, [8, ..]) | (0xc4 | 0xc8 | 0xcc, _) => {}
            (0xc0..=0xc2, _) => {
                return Some("is a JPEG with more than 8 bits per channel; save it as PNG or TIFF with 16 bits");
            }
            (0xc3..=0xcf, _) => {
                return Some(
                    "is a lossless, hierarchical or arithmetic-coded JPEG; save it as a baseline or progressive JPEG, or as PNG",
                );
            }
            // Thumbnails have end markers of their own, but they lie before the first scan.
            (0xda, _) => return if after.windows(2).any(|w| w == [0xff, 0xd9]) { None } else { TRUNCATED },
            _ => {}
        }
        rest = after;
    }
    TRUNCATED
}

/// The next marker with a length: its code, its content, and what follows.
fn segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let begins = |w: &[u8]| matches!(w, [0xff, 0x02..=0xcf | 0xda..=0xfe]);
    let at = bytes.windows(2).position(begins)?;
    let (marker, rest) = bytes.get(at + 1..)?.split_first()?;
    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
    Some((*marker, rest.get(2..length)?, rest.get(length..)?))
}
