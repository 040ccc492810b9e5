//! Each fault by a file that has it and nothing else.
use super::*;

fn file(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    std::fs::read(folder.join(name)).expect("a fixture")
}

fn refused(bytes: &[u8], want: Fault) {
    match decode(bytes, Limits::default()) {
        Err(what) => assert_eq!(what, want.to_string()),
        Ok(_) => panic!("decoded in spite of: {want}"),
    }
}

/// Where a marker begins, the `nth` one.
fn find(bytes: &[u8], marker: u8, nth: usize) -> usize {
    let mut places = bytes.windows(2).enumerate().filter(|(_, w)| **w == [0xff, marker]).map(|(i, _)| i);
    places.nth(nth).expect("a marker")
}

/// The file without a part.
fn without(bytes: &[u8], part: std::ops::Range<usize>) -> Vec<u8> {
    [&bytes[..part.start], &bytes[part.end..]].concat()
}

#[test]
fn restart_markers_count_on() {
    let whole = file("jpeg_restart.jpg");
    assert!(decode(&whole, Limits::default()).is_ok());
    let second = find(&whole, 0xd1, 0);
    let mut renumbered = whole.clone();
    renumbered[second + 1] = 0xd5;
    refused(&renumbered, Fault::Restart);
    // Without the marker, the next interval's data is taken for more of this one's.
    refused(&without(&whole, second..second + 2), Fault::Left);
    refused(&without(&whole, find(&whole, 0xd0, 0)..second), Fault::Restart);
    // Behind the last interval, if it is a whole one, some cameras write the next marker.
    let whole = file("jpeg_restart_444.jpg");
    let end = whole.len() - 2;
    let with = |marker| decode(&[&whole[..end], &[0xff, marker], &whole[end..]].concat(), Limits::default());
    assert!(with(0xd4).is_ok() && with(0xd5).is_err() && with(0xd3).is_err());
}

#[test]
fn scans_have_all_their_data_and_no_more() {
    for name in ["jpeg_420.jpg", "jpeg_scans.jpg", "jpeg_progressive.jpg"] {
        let whole = file(name);
        let end = whole.len() - 2;
        let with = |more: &[u8]| [&whole[..end], more, &whole[end..]].concat();
        refused(&with(&[0x12]), Fault::Left);
        refused(&with(&[0xff, 0]), Fault::Left);
        assert!(decode(&with(&[0, 0, 0]), Limits::default()).is_ok(), "zeros are no data");
        assert!(decode(&with(&[0xff, 0xff]), Limits::default()).is_ok(), "fill bytes are none");
        assert!(decode(&[&whole[..], b"more"].concat(), Limits::default()).is_ok(), "behind the end");
        refused(&whole[..end], Fault::Truncated);
        let scan = find(&whole, 0xda, 0);
        refused(&[&whole[..scan + 30], &whole[end..]].concat(), Fault::Short);
    }
}

#[test]
fn scans_that_never_came_are_missed() {
    for name in ["jpeg_scans.jpg", "jpeg_progressive.jpg", "jpeg_progressive_444.jpg"] {
        let whole = file(name);
        let scans = whole.windows(2).filter(|w| **w == [0xff, 0xda]).count();
        assert!(scans > 2, "{name}");
        for scan in 0..scans {
            let from = find(&whole, 0xda, scan);
            let to = [0xda, 0xc4, 0xd9].into_iter().flat_map(|m| {
                let next = whole[from + 2..].windows(2).position(|w| *w == [0xff, m]);
                next.map(|n| n + from + 2)
            });
            let cut = without(&whole, from..to.min().expect("an end"));
            assert!(decode(&cut, Limits::default()).is_err(), "{name} without scan {scan}");
        }
        let last = find(&whole, 0xda, scans - 1);
        refused(&[&whole[..last], &[0xff, 0xd9]].concat(), Fault::Incomplete);
        let twice = [&whole[..whole.len() - 2], &whole[last..]].concat();
        refused(&twice, Fault::Order);
    }
}

#[test]
fn tables_must_make_sense() {
    let whole = file("jpeg_444.jpg");
    let changed = |marker: u8, at: usize, to: u8| {
        let mut bytes = whole.clone();
        let place = find(&bytes, marker, 0) + at;
        bytes[place] = to;
        bytes
    };
    refused(&changed(0xdb, 5, 0), Fault::Segment("quantization table"));
    refused(&changed(0xc4, 5, 3), Fault::Segment("Huffman table"));
    refused(&changed(0xc4, 4, 9), Fault::Segment("Huffman table"));
    refused(&changed(0xda, 5, 9), Fault::Segment("scan header"));
    refused(&changed(0xc0, 11, 0x51), Fault::Segment("frame"));
    refused(&without(&whole, find(&whole, 0xdb, 0)..find(&whole, 0xc0, 0)), Fault::Table);
    let no_codes = without(&whole, find(&whole, 0xc4, 0)..find(&whole, 0xda, 0));
    let same = decode(&whole, Limits::default()).expect("whole").image;
    assert!(decode(&no_codes, Limits::default()).expect("the standard's tables").image == same);
}

#[test]
fn values_are_bounded() {
    let mut coarse = file("jpeg_444.jpg");
    let table = find(&coarse, 0xdb, 0) + 5;
    coarse[table..table + 64].fill(255);
    refused(&coarse, Fault::Value);
}
