//! Reads assembly as five vendors' compilers print it: what each instruction occupies, and where it may go on.

use crate::chips::Vendor;
use std::collections::HashMap;

/// What an instruction occupies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The vector unit, for multiply-adds.
    Fma,
    /// The vector unit, for anything else, moves included.
    Other,
    /// Workgroup memory.
    Shared,
    /// Whatever else leaves the core: buffers, images, scratch.
    Memory,
    /// Flow, waits, the scalar unit: nothing that keeps the vector unit from work.
    Control,
}

/// One instruction.
#[derive(Clone, PartialEq, Debug)]
pub struct Instruction {
    pub kind: Kind,
    /// How often it is issued.
    pub slots: u32,
    /// The label that it may jump to.
    pub target: Option<String>,
    /// Whether the next one may follow it.
    pub goes_on: bool,
}

/// Instructions in their order, and the number of the one that follows each label.
#[derive(Default, Debug)]
pub struct Listing {
    pub instructions: Vec<Instruction>,
    pub labels: HashMap<String, usize>,
}

/// Kinds by how mnemonics begin; the first that fits counts, and vector work is what nothing fits.
type Words = &'static [(Kind, &'static [&'static str])];

const AMD: Words = &[
    (Kind::Fma, &["v_fma", "v_pk_fma", "v_mad_f", "v_mac_f", "v_dual_fma", "v_dot", "v_wmma"]),
    (Kind::Other, &["v_"]),
    (Kind::Shared, &["ds_"]),
    (Kind::Memory, &["buffer_", "global_", "image_", "flat_", "scratch_"]),
    (Kind::Control, &[""]),
];
const INTEL: Words = &[
    (Kind::Memory, &["send"]),
    (Kind::Control, &["if", "else", "endif", "break", "while", "cont", "halt", "sync", "nop"]),
];
const QUALCOMM: Words = &[
    (Kind::Fma, &["mad.f", "dp2acc", "dp4acc"]),
    (Kind::Shared, &["ldl", "stl"]),
    (Kind::Memory, &["ld", "st", "isam", "sam", "gather", "atomic", "resinfo"]),
    (Kind::Control, &["br", "jump", "end", "nop", "bar", "fence", "shp", "pred", "getone"]),
];
const NVIDIA: Words = &[
    (Kind::Fma, &["ffma", "hfma2", "hmma"]),
    (Kind::Memory, &["ld", "st", "atom", "tex", "tld", "su"]),
    (Kind::Control, &["bra", "exit", "bssy", "bsync", "bclear", "bar", "membar", "warpsync", "nop"]),
];
const ARM: Words = &[
    (Kind::Fma, &["FMA."]),
    (Kind::Memory, &["LOAD", "STORE", "LD_", "ST_", "LEA_", "TEX", "ATOM"]),
    (Kind::Control, &["BRANCH", "NOP", "BARRIER"]),
];

fn kind(words: Words, mnemonic: &str) -> Kind {
    let fits = |entry: &&(Kind, &[&str])| entry.1.iter().any(|start| mnemonic.starts_with(start));
    words.iter().find(fits).map_or(Kind::Other, |entry| entry.0)
}

impl Listing {
    pub fn read(vendor: Vendor, text: &str) -> Listing {
        let mut listing = Listing::default();
        let line = match vendor {
            Vendor::Amd => Listing::amd,
            Vendor::Intel => Listing::intel,
            Vendor::Qualcomm => Listing::qualcomm,
            Vendor::Nvidia => Listing::nvidia,
            Vendor::Arm => Listing::arm,
        };
        text.lines().for_each(|l| line(&mut listing, l));
        listing
    }

    fn label(&mut self, name: &str) {
        self.labels.insert(name.to_string(), self.instructions.len());
    }

    fn push(&mut self, kind: Kind, slots: u32, target: Option<&str>, goes_on: bool) {
        self.instructions.push(Instruction { kind, slots, target: target.map(str::to_string), goes_on });
    }

    /// `BB3:`, then, after a tab, `v_fmac_f32_e32 v1, v2, v3 ; encoding`.
    fn amd(&mut self, line: &str) {
        if let Some(name) = line.strip_suffix(':').filter(|l| l.starts_with("BB")) {
            return self.label(name);
        }
        let code = line.strip_prefix('\t').and_then(|l| l.split(';').next()).unwrap_or_default();
        let Some(name) = code.split_whitespace().next() else { return };
        let jumps = name.starts_with("s_cbranch") || name.starts_with("s_branch");
        let target = code.split_whitespace().last().filter(|_| jumps);
        self.push(kind(AMD, name), 1, target, !name.starts_with("s_branch") && !name.starts_with("s_endpgm"));
    }

    /// `LABEL2:`, `(-f0.0) while(8) JIP:  LABEL2 { align1 1Q };`, `mad(16) g5<1>F …`: the unit has 8 lanes. An indented line
    /// tells more of the message above. What leaves a loop does so by `break`, which goes on otherwise.
    fn intel(&mut self, line: &str) {
        if line.starts_with(char::is_whitespace) {
            // Surface 254 is how older chips name workgroup memory.
            if let (true, Some(last)) =
                (["slm Msg", "Surface = 254"].iter().any(|w| line.contains(w)), self.instructions.last_mut())
            {
                last.kind = Kind::Shared;
            }
            return;
        }
        if let Some((name, _)) = line.split_once(':').filter(|l| l.0.starts_with("LABEL")) {
            return self.label(name);
        }
        let code = if line.starts_with('(') { line.split_once(')').map_or("", |l| l.1).trim_start() } else { line };
        let Some((name, (lanes, rest))) = code.split_once('(').and_then(|(n, r)| Some((n, r.split_once(')')?))) else {
            return;
        };
        let Ok(lanes) = lanes.trim().parse::<u32>() else { return };
        let float = rest.split_whitespace().next().is_some_and(|to| to.ends_with('F'));
        let multiplies = float && ["mad", "mac", "dpas"].iter().any(|m| name.trim() == *m);
        let target = rest.split_whitespace().nth(1).filter(|_| name.starts_with("while"));
        self.push(if multiplies { Kind::Fma } else { kind(INTEL, name) }, lanes.div_ceil(8), target, true);
    }

    /// `l86:`, `br p0.x, #l330`, `jump #l86`, `(sy)(rpt2)mad.f32 r1.x, …`, which is issued three times.
    fn qualcomm(&mut self, line: &str) {
        let mut code = line.trim();
        if code.starts_with([';', '@']) {
            return;
        }
        if let Some(name) = code.strip_suffix(':').filter(|l| l.starts_with('l')) {
            return self.label(name);
        }
        let mut slots = 1;
        while let Some((flag, rest)) = code.strip_prefix('(').and_then(|c| c.split_once(')')) {
            slots += flag.strip_prefix("rpt").and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
            code = rest.trim_start();
        }
        let Some(name) = code.split_whitespace().next().filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase()))
        else {
            return;
        };
        let target = code.split_once('#').map(|c| c.1.trim()).filter(|t| t.starts_with('l'));
        self.push(kind(QUALCOMM, name), slots, target, name != "jump" && name != "end");
    }

    /// `block 6 L7 [5, 12] -> {`, `@!p0 bra L3`, `r66 = ffma.ftz r80 r72 r66 // delay=1`.
    fn nvidia(&mut self, line: &str) {
        if line.starts_with("block") {
            return line.split_whitespace().nth(2).into_iter().for_each(|name| self.label(name));
        }
        let code = line.split("//").next().unwrap_or_default().trim();
        let perhaps = code.starts_with('@');
        let code = code.split_once(" = ").map_or(code, |c| c.1).trim_start();
        let mut words = code.split_whitespace().skip_while(|w| w.starts_with('@'));
        let Some(name) = words.next().filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase())) else { return };
        let bare = name.split('.').next().unwrap_or(name);
        let kind = match kind(NVIDIA, bare) {
            Kind::Memory if name.contains(".shared") => Kind::Shared,
            kind => kind,
        };
        let ends = !perhaps && ["bra", "exit"].contains(&bare);
        self.push(kind, 1, words.next().filter(|_| bare == "bra"), !ends);
    }

    /// `BRANCHZ.eq.reconverge 0x0, offset:-360` counts instructions from the next one; `FMA.f32 r55, ^r60, ^r61, ^r55`.
    fn arm(&mut self, line: &str) {
        let code = line.trim();
        if !code.starts_with(|c: char| c.is_ascii_uppercase()) {
            return;
        }
        let here = self.instructions.len();
        self.label(&here.to_string());
        let offset = code.split_once("offset:").and_then(|c| c.1.trim().parse::<i64>().ok());
        let target = offset.filter(|_| code.starts_with("BRANCHZ")).map(|by| (here as i64 + 1 + by).to_string());
        let always = code.split_whitespace().nth(1) == Some("0x0,"); // zero is always zero
        self.push(kind(ARM, code), 1, target.as_deref(), !(always && target.is_some()));
    }
}
