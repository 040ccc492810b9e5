//! Writes files as PyTorch does, and as nobody should: archives, pickles, tensors in them.

/// A record of an archive: what is there, and what is claimed of it.
#[derive(Clone)]
pub struct Record {
    pub name: String,
    pub data: Vec<u8>,
    pub method: u16,
    pub size: u64,
    pub crc: u32,
    /// Claims the size in 64 bits.
    pub zip64: bool,
}

/// A stored record, truthfully.
pub fn record(name: &str, data: &[u8]) -> Record {
    let (name, data, size) = (name.into(), data.to_vec(), data.len() as u64);
    Record { name, crc: crc32fast::hash(&data), data, method: 0, size, zip64: false }
}

/// A deflated one.
pub fn deflated(name: &str, data: &[u8]) -> Record {
    use std::io::Write;
    let mut packer = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::default());
    packer.write_all(data).unwrap();
    Record { data: packer.finish().unwrap(), method: 8, ..record(name, data) }
}

/// The archive of these records.
pub fn zip(records: &[Record]) -> Vec<u8> {
    let (mut file, mut directory) = (vec![], vec![]);
    for r in records {
        let at = file.len() as u32;
        let size = if r.zip64 { u32::MAX } else { r.size as u32 };
        let extra: Vec<u8> = if r.zip64 { [&[1, 0, 8, 0][..], &r.size.to_le_bytes()].concat() } else { vec![] };
        let mut middle = vec![0, 0];
        middle.extend(r.method.to_le_bytes());
        middle.extend([0; 4]);
        middle.extend(r.crc.to_le_bytes());
        middle.extend((r.data.len() as u32).to_le_bytes());
        middle.extend(size.to_le_bytes());
        middle.extend((r.name.len() as u16).to_le_bytes());
        file.extend(b"PK\x03\x04\x14\x00");
        file.extend(&middle);
        file.extend([0, 0]);
        file.extend(r.name.as_bytes());
        file.extend(&r.data);
        directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        directory.extend(&middle);
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(r.name.as_bytes());
        directory.extend(extra);
    }
    let (start, count) = (file.len() as u32, records.len() as u16);
    file.extend(&directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// A pickle of protocol 2 to which opcodes are put.
#[derive(Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Pickle {
        Pickle(vec![0x80, 2])
    }

    pub fn op(mut self, bytes: &[u8]) -> Pickle {
        self.0.extend(bytes);
        self
    }

    pub fn text(self, text: &str) -> Pickle {
        let length = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&length).op(text.as_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Pickle {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    fn numbers(mut self, numbers: &[u64]) -> Pickle {
        self = self.op(b"(");
        for n in numbers {
            self = self.number(*n);
        }
        self.op(b"t")
    }

    fn number(self, n: u64) -> Pickle {
        self.op(&[0x8a, 9]).op(&n.to_le_bytes()).op(&[0])
    }

    /// The arguments of a tensor on storage `key` of `numel` elements.
    pub fn arguments(self, class: &str, key: &str, numel: u64, sizes: &[u64], strides: &[u64]) -> Pickle {
        let storage = self.op(b"((").text("storage").global("torch", class).text(key).text("cpu").number(numel);
        let window = storage.op(b"tQK\x00").numbers(sizes).numbers(strides);
        window.op(&[0x89]).global("collections", "OrderedDict").op(b")Rt")
    }

    /// A tensor of f32.
    pub fn tensor(self, key: &str, numel: u64, sizes: &[u64], strides: &[u64]) -> Pickle {
        let made = self.global("torch._utils", "_rebuild_tensor_v2");
        made.arguments("FloatStorage", key, numel, sizes, strides).op(b"R")
    }

    pub fn done(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// An archive of a pickle and the storage `0`.
pub fn archive(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    zip(&[record("a/data.pkl", pickle), record("a/byteorder", b"little"), record("a/data/0", storage)])
}

/// The pickle that a stream begins with.
pub const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// A stream of this object and storages, its pickles of protocol 2.
pub fn stream(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let info = Pickle::new().op(b"}").text("little_endian").op(b"\x88s").done();
    let mut keys = Pickle::new().op(b"](");
    for (key, ..) in storages {
        keys = keys.text(key);
    }
    let mut all = [MAGIC, b"\x80\x02M\xe9\x03.", &info, object, &keys.op(b"e").done()].concat();
    for (_, count, data) in storages {
        all.extend(count.to_le_bytes());
        all.extend(*data);
    }
    all
}

/// A tensor of a checkpoint, in rows at the beginning of its storage.
pub struct Entry {
    pub name: String,
    pub sizes: Vec<u64>,
    pub class: &'static str,
    pub key: String,
    /// Elements of the storage.
    pub numel: u64,
}

impl Entry {
    pub fn new(name: &str, sizes: &[usize], class: &'static str, key: &str) -> Entry {
        let sizes: Vec<u64> = sizes.iter().map(|&s| s as u64).collect();
        Entry { name: name.into(), numel: sizes.iter().product(), sizes, class, key: key.into() }
    }
}

/// Puts tensors into the map on top of the stack.
pub fn put(mut pickle: Pickle, entries: &[Entry]) -> Pickle {
    for Entry { name, sizes, class, key, numel } in entries {
        let strides: Vec<u64> = (0..sizes.len()).map(|i| sizes[i + 1..].iter().product()).collect();
        let made = pickle.text(name).global("torch._utils", "_rebuild_tensor_v2");
        pickle = made.arguments(class, key, *numel, sizes, &strides).op(b"Rs");
    }
    pickle
}

/// The pickle of a map of tensors.
pub fn state_dict(entries: &[Entry]) -> Vec<u8> {
    put(Pickle::new().global("collections", "OrderedDict").op(b")R"), entries).done()
}
