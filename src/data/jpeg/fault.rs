//! What can be wrong with a JPEG's data.

use std::fmt;

/// What is wrong, in the words of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file ends before its end marker.
    Truncated,
    /// A scan's data ends before its last block.
    Short,
    /// Bits that are no Huffman code.
    Code,
    /// A block with more than its values.
    Full,
    /// A value that no picture has.
    Value,
    /// Data is left after the last block.
    Left,
    /// A restart marker is missing, or it is another one.
    Restart,
    /// Something of the file is invalid, by its name.
    Segment(&'static str),
    /// A scan needs a table that was not defined.
    Table,
    /// Scans that do not follow each other.
    Order,
    /// Part of the picture never came.
    Incomplete,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let what = match self {
            Fault::Truncated => {
                return f.write_str("is a truncated JPEG file: its end marker is missing; copy it again");
            }
            Fault::Short => "the data of a scan ends before its last block",
            Fault::Code => "a scan contains bits that are no code",
            Fault::Full => "a block has more values than it can hold",
            Fault::Value => "a block has a value larger than a picture's can be",
            Fault::Left => "data is left after the last block of a scan",
            Fault::Restart => "a restart marker is missing or out of order",
            Fault::Segment(name) => return write!(f, "is a damaged JPEG file: invalid {name}; {ADVICE}"),
            Fault::Table => "a scan refers to a table that is missing",
            Fault::Order => "its scans do not follow each other",
            Fault::Incomplete => "scans are missing, and with them part of the picture",
        };
        write!(f, "is a damaged JPEG file: {what}; {ADVICE}")
    }
}

/// Some cameras write such files; what other programs make of them is whole again.
const ADVICE: &str = "copy it again; if the original looks right, save it anew in another program";

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        fault.to_string()
    }
}
