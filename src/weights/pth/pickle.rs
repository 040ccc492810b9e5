//! The pickle machine, protocols 2 to 5, read as data: opcodes become a tree of values. It runs in one loop without recursion, every
//! opcode is counted, and a name outside the table of `globals.rs` ends it at the moment it is pushed. Strings are parts of the file,
//! never copies, so that their lengths need no bound but the file's end.

use super::globals::{Meaning, known};
use super::node::{Id, Pickle, PickleNode};
use super::opcodes;
use std::collections::HashMap;

/// Maximum number of opcodes and values in one pickle: enough for 100,000 tensors, and at worst 200 MB of nodes in a malicious file.
const MAX_STEPS: usize = 1 << 22;

/// Longest name of a global.
const MAX_NAME: usize = 1024;

/// What is allowed besides the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Names outside the table become opaque nodes.
    pub skip_unknown: bool,
    /// Names under `__torch__.` are objects of TorchScript.
    pub torchscript: bool,
    /// The pickle is not a checkpoint: advice on converting one would not help.
    pub bare: bool,
}

/// Reads one pickle from the beginning of `bytes`.
pub fn load(bytes: &[u8], rules: Rules) -> Result<Pickle<'_>, String> {
    let pickle = Pickle::default();
    let mut machine =
        Machine { bytes, at: 0, pickle, stack: vec![], marks: vec![], memo: HashMap::new(), steps: 0, rules };
    loop {
        let start = machine.at;
        let done = machine.byte().and_then(|op| if op == b'.' { Ok(true) } else { machine.step(op).map(|()| false) });
        if done.map_err(|e| format!("at byte {start} of the pickle: {e}"))? {
            machine.pickle.root = machine.pop()?;
            machine.pickle.length = machine.at;
            return Ok(machine.pickle);
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pickle: Pickle<'a>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    steps: usize,
    rules: Rules,
}

impl<'a> Machine<'a> {
    fn step(&mut self, op: u8) -> Result<(), String> {
        self.spend(1)?;
        match op {
            0x80 => match self.byte()? {
                0..=5 => Ok(()),
                other => Err(format!("unknown pickle protocol {other}; expected 2 to 5")),
            },
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'q' | b'r' | 0x94 => self.put(op),
            b'h' | b'j' => self.get(op),
            b'c' | 0x93 => self.global(op),
            b'R' | 0x81 => self.call(),
            0x92 => {
                // Keyword arguments are data like the others.
                let keywords = self.pop()?;
                self.call()?;
                self.part(&[keywords])
            }
            b'b' => {
                let state = self.pop()?;
                self.part(&[state])
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(PickleNode::Persistent(id));
                Ok(())
            }
            b't' | 0x85..=0x87 | 0x91 => self.tuple(op),
            b'a' | b'e' | 0x90 | b's' | b'u' => self.fill(op),
            _ => {
                let node = self.literal(op)?;
                self.push(node);
                Ok(())
            }
        }
    }

    fn literal(&mut self, op: u8) -> Result<PickleNode<'a>, String> {
        Ok(match op {
            b'N' => PickleNode::Plain,
            0x88 | 0x89 => PickleNode::Bool(op == 0x88),
            b']' | 0x8f => PickleNode::List(vec![]),
            b')' => PickleNode::Tuple(vec![]),
            b'}' => PickleNode::Dict(vec![]),
            b'J' => PickleNode::Int(i64::from(self.u32()? as i32)),
            b'K' => PickleNode::Int(i64::from(self.byte()?)),
            b'M' => PickleNode::Int(i64::from(self.byte()?) | i64::from(self.byte()?) << 8),
            b'G' => PickleNode::Float(f64::from_be_bytes(self.take(8)?.first_chunk().copied().unwrap_or_default())),
            0x8a | 0x8b => {
                let length = self.length(op, 0x8a, 0x8b)?;
                integer(self.take(length)?)
            }
            b'X' | 0x8c | 0x8d => {
                let length = self.length(op, 0x8c, b'X')?;
                let text = std::str::from_utf8(self.take(length)?);
                PickleNode::Text(text.map_err(|_| "a string that is not UTF-8".to_string())?)
            }
            b'T' | b'U' => {
                let length = self.length(op, b'U', b'T')?;
                let bytes = self.take(length)?;
                std::str::from_utf8(bytes).map_or(PickleNode::Plain, PickleNode::Text)
            }
            b'B' | b'C' | 0x8e | 0x96 => {
                let length = self.length(op, b'C', b'B')?;
                self.take(length).map(|_| PickleNode::Plain)?
            }
            _ => return Err(format!("opcode {} is refused: checkpoints do not need it", opcodes::name(op))),
        })
    }

    /// A length of one byte after `short`, of four after `long`, of eight else.
    fn length(&mut self, op: u8, short: u8, long: u8) -> Result<usize, String> {
        if op == short {
            return self.byte().map(usize::from);
        }
        if op == long {
            return self.u32().map(|v| v as usize);
        }
        let bytes = self.take(8)?.first_chunk::<8>().copied().unwrap_or([0xff; 8]);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length beyond the address space".into())
    }

    fn put(&mut self, op: u8) -> Result<(), String> {
        let index = match op {
            b'q' => u32::from(self.byte()?),
            b'r' => self.u32()?,
            _ => self.memo.len() as u32,
        };
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, op: u8) -> Result<(), String> {
        let index = if op == b'h' { u32::from(self.byte()?) } else { self.u32()? };
        let id = *self.memo.get(&index).ok_or_else(|| format!("memo {index} was never set"))?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, op: u8) -> Result<(), String> {
        let (module, name) = if op == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |id| self.pickle.text(id).filter(|t| t.len() <= MAX_NAME);
            (text(module).ok_or("a global whose module is not a string")?, text(name).ok_or("a global without a name")?)
        };
        let script = self.rules.torchscript && (module.starts_with("__torch__.") || module == "__torch__");
        let kind = match known(module, name) {
            Some(kind) => kind,
            None if script => Meaning::Script,
            None if self.rules.skip_unknown => Meaning::Opaque,
            None => return Err(refusal(module, name, self.rules.bare)),
        };
        let node = self.pickle.global(kind, module, name);
        self.push(node);
        Ok(())
    }

    /// REDUCE and NEWOBJ: a name of our table and its arguments become a node. Nothing is called.
    fn call(&mut self) -> Result<(), String> {
        let (args, callee) = (self.pop()?, self.pop()?);
        let PickleNode::Tuple(list) = self.pickle.node(args) else {
            return Err("arguments that are not a tuple".into());
        };
        let (kind, first) = (self.pickle.kind(callee).ok_or("a call of something that is not a global")?, list.first());
        let node = match (kind, first) {
            (Meaning::OrderedDict, None) => PickleNode::Dict(vec![]),
            (Meaning::OrderedDict, Some(&pairs)) => self.pairs(pairs)?,
            (Meaning::Size, Some(&sizes)) => {
                self.stack.push(sizes);
                return Ok(());
            }
            (Meaning::Storage(_) | Meaning::Element(_) | Meaning::Size, _) => {
                return Err(format!("{} cannot be called", self.pickle.name(callee)));
            }
            _ => PickleNode::Made(kind, vec![callee, args]),
        };
        self.push(node);
        Ok(())
    }

    /// A map from a list of pairs, as Python 2 wrote it.
    fn pairs(&mut self, list: Id) -> Result<PickleNode<'a>, String> {
        let length = self.pickle.items(list).ok_or("an OrderedDict of something that is not a list")?.len();
        self.spend(length)?; // the same list may occur again and again
        let pair = |id: &Id| match self.pickle.items(*id) {
            Some(&[key, value]) => Ok((key, value)),
            _ => Err("an OrderedDict of something that is not a pair".to_string()),
        };
        let pairs: Result<Vec<_>, String> = self.pickle.items(list).unwrap_or_default().iter().map(pair).collect();
        pairs.map(PickleNode::Dict)
    }

    /// Gives the value on top its state, which is data.
    fn part(&mut self, parts: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        match self.pickle.node_mut(top) {
            Some(PickleNode::Made(_, own)) => own.extend_from_slice(parts),
            Some(PickleNode::Dict(_)) => {} // `_metadata` of a state dict: versions of modules
            _ => return Err("a state for something that cannot have one".into()),
        }
        Ok(())
    }

    fn tuple(&mut self, op: u8) -> Result<(), String> {
        let items = match op {
            b't' | 0x91 => self.marked()?,
            _ => {
                let mut items = vec![];
                for _ in 0x84..op {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.push(PickleNode::Tuple(items));
        Ok(())
    }

    /// Items for the list, map or object below them.
    fn fill(&mut self, op: u8) -> Result<(), String> {
        let items = match op {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.marked()?,
        };
        let (top, pairs) = (self.top()?, matches!(op, b's' | b'u'));
        match self.pickle.node_mut(top) {
            Some(PickleNode::List(list)) if !pairs => list.extend(items),
            Some(PickleNode::Dict(map)) if pairs && items.len() % 2 == 0 => {
                map.extend(items.as_chunks::<2>().0.iter().map(|&[k, v]| (k, v)));
            }
            Some(PickleNode::Made(_, own)) => own.extend(items),
            _ => return Err("items for something that takes none, or half a pair".into()),
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), String> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS {
            Err(format!("more than {MAX_STEPS} steps, more than any checkpoint needs"))
        } else {
            Ok(())
        }
    }

    fn push(&mut self, node: PickleNode<'a>) {
        let id = self.pickle.add(node);
        self.stack.push(id);
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, String> {
        if self.stack.len() <= self.floor() {
            return Err("the stack is empty".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn top(&self) -> Result<Id, String> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| "the stack is empty".into())
    }

    fn marked(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("no mark is set")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let part =
            rest.get(..n).ok_or_else(|| format!("the pickle ends early: {n} bytes needed, {} left", rest.len()))?;
        self.at += n;
        Ok(part)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|b| b.first().copied().unwrap_or(0))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take(4).map(|b| u32::from_le_bytes(b.first_chunk().copied().unwrap_or([0; 4])))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().take(MAX_NAME).position(|&b| b == b'\n').ok_or("a global without an end")?;
        let line = self.take(end + 1)?.get(..end).unwrap_or_default();
        std::str::from_utf8(line).map_err(|_| "a global whose name is not UTF-8".into())
    }
}

/// A number of any length; one that does not fit is kept as bytes.
fn integer(bytes: &[u8]) -> PickleNode<'_> {
    let Some(last) = bytes.last() else { return PickleNode::Int(0) };
    let sign = if last & 0x80 == 0 { 0 } else { 0xff };
    let (low, high) = bytes.split_at(bytes.len().min(8));
    if high.iter().any(|b| *b != sign) || (!high.is_empty() && low.last().is_some_and(|b| (b ^ sign) & 0x80 != 0)) {
        return PickleNode::Long(bytes);
    }
    let mut all = [sign; 8];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    PickleNode::Int(i64::from_le_bytes(all))
}

fn refusal(module: &str, name: &str, bare: bool) -> String {
    let why = if bare {
        "plain values do not need this name"
    } else if module.starts_with("torch.nn.") {
        "a whole module was saved; save its state_dict() instead"
    } else {
        "checkpoints do not need this name; `lupe weights convert --skip-unknown` leaves out what uses it"
    };
    format!("{}.{} is refused (nothing was looked up or called): {why}", module.escape_debug(), name.escape_debug())
}
