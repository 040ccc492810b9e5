//! Names of weights as other publishers spell them: patterns, what they become, and what has to be done to the tensors.

use crate::weights::raw::Raw;
use std::borrow::Cow;

/// What is known of the names of a network's weights beside those that it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The other ways to spell them.
    pub spellings: &'static [Spelling],
    /// First parts of names that make another network of the same family: where one is there and not asked for, the weights are its.
    pub parts: &'static [&'static str],
    /// How names begin of what only training needs.
    pub needless: &'static [&'static str],
}

impl Names {
    /// One way to spell them, and nothing more.
    pub const OWN: Names = Names { spellings: &[], parts: &[], needless: &[] };
}

/// A publisher's way to spell names.
#[derive(Debug)]
pub struct Spelling {
    /// Whose it is, as in `the names of OpenAI`.
    pub publisher: &'static str,
    /// The pattern of a name that no other spelling has.
    pub mark: &'static str,
    /// What its names become; the first rule that fits a name counts.
    pub rules: &'static [Rule],
}

/// The end of a path, what it becomes, and what is done to the tensor. `#` stands for a number, `*` at the end for all that follows;
/// `to` takes the last numbers.
#[derive(Debug)]
pub struct Rule(pub &'static str, pub &'static str, pub Form);

/// What is done to the tensors of other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Same,
    /// Axes of one element come before its own, three axes in all.
    ThreeAxes,
    /// Rows become columns.
    Transposed,
    /// It is part `.0` of `.1` that lie below each other.
    Rows(usize, usize),
    /// A row of zeros comes before the rows of its second axis.
    AfterZeros,
}

impl Spelling {
    /// Whether the end of this path is its mark.
    pub fn marks(&self, path: &str) -> bool {
        Rule(self.mark, "", Form::Same).renamed(path).is_some()
    }

    /// What a path becomes, and what is done to its tensor.
    pub fn renamed(&self, path: &str) -> Option<(String, Form)> {
        self.rules.iter().find_map(|rule| Some((rule.renamed(path)?, rule.2)))
    }
}

impl Rule {
    fn renamed(&self, path: &str) -> Option<String> {
        let starts = std::iter::once(0).chain(path.match_indices('.').map(|(dot, _)| dot + 1));
        starts.into_iter().find_map(|at| {
            let (before, end) = path.split_at(at);
            let (numbers, rest) = fits(self.0, end)?;
            Some(format!("{before}{}", filled(self.1, &numbers, rest)))
        })
    }
}

/// The numbers of a name that fits a pattern, and what its `*` stands for.
fn fits<'n>(pattern: &str, name: &'n str) -> Option<(Vec<&'n str>, &'n str)> {
    let (mut numbers, mut rest) = (vec![], Some(name));
    for part in pattern.split('.') {
        let now = rest?;
        if part == "*" {
            return Some((numbers, now));
        }
        let (own, after) = now.split_once('.').map_or((now, None), |(own, after)| (own, Some(after)));
        match part {
            "#" if !own.is_empty() && own.bytes().all(|b| b.is_ascii_digit()) => numbers.push(own),
            _ if part == own => {}
            _ => return None,
        }
        rest = after;
    }
    rest.is_none().then_some((numbers, ""))
}

fn filled(to: &str, numbers: &[&str], rest: &str) -> String {
    let holes = to.split('.').filter(|part| *part == "#").count();
    let mut numbers = numbers.iter().skip(numbers.len().saturating_sub(holes));
    let part = |part| match part {
        "#" => numbers.next().copied().unwrap_or("#"),
        "*" => rest,
        own => own,
    };
    to.split('.').map(part).collect::<Vec<_>>().join(".")
}

impl Form {
    /// The shape that tensors of these shapes, in the order of their parts, become; `None` where they do not fit together.
    pub fn shape(self, parts: &[&[usize]]) -> Option<Vec<usize>> {
        let [first, ..] = parts else { return None };
        match (self, *first) {
            (Form::Same, shape) => Some(shape.to_vec()),
            (Form::ThreeAxes, shape) => Some([&vec![1; 3usize.saturating_sub(shape.len())], shape].concat()),
            (Form::Transposed, [rows, columns]) => Some(vec![*columns, *rows]),
            (Form::AfterZeros, [1, rows, d]) => Some(vec![1, rows.checked_add(1)?, *d]),
            (Form::Rows(_, n), [_, others @ ..]) => {
                let alike = parts.len() == n && parts.iter().all(|p| p.get(1..) == Some(others));
                let rows = parts.iter().try_fold(0usize, |sum, p| sum.checked_add(*p.first()?));
                rows.filter(|_| alike).map(|rows| [&[rows], others].concat())
            }
            _ => None,
        }
    }

    /// The tensor that these become.
    ///
    /// # Errors
    /// Why they do not fit together.
    pub fn made<'a>(self, parts: Vec<Raw<'a>>) -> Result<Raw<'a>, String> {
        let shapes: Vec<&[usize]> = parts.iter().map(|p| &p.shape[..]).collect();
        let shape = self.shape(&shapes).ok_or_else(|| format!("is made of tensors of shapes {shapes:?}"))?;
        let Some(dtype) = parts.first().map(|p| p.dtype) else { return Err("is made of no tensor".into()) };
        if parts.iter().any(|p| p.dtype != dtype) {
            return Err("is made of tensors of different types".into());
        }
        let of = |bytes: &[u8], n: usize| bytes.len() / n.max(1);
        let mut parts = parts.into_iter();
        let bytes = match (self, parts.next()) {
            (_, None) => Cow::default(),
            (Form::Same | Form::ThreeAxes, Some(only)) => only.bytes,
            (Form::Rows(..), Some(first)) => {
                let others = parts.flat_map(|p| p.bytes.into_owned());
                first.bytes.iter().copied().chain(others).collect::<Vec<u8>>().into()
            }
            (Form::Transposed, Some(only)) => {
                let (rows, columns) =
                    (only.shape.first().copied().unwrap_or(0), only.shape.last().copied().unwrap_or(0));
                let width = of(&only.bytes, rows * columns).max(1);
                let element = |(c, r): (usize, usize)| only.bytes.get((r * columns + c) * width..).unwrap_or_default();
                let order = (0..columns).flat_map(|c| (0..rows).map(move |r| (c, r)));
                order.flat_map(|at| element(at).iter().take(width).copied()).collect::<Vec<u8>>().into()
            }
            (Form::AfterZeros, Some(only)) => {
                let row = of(&only.bytes, only.shape.get(1).copied().unwrap_or(0));
                [&vec![0; row][..], &only.bytes].concat().into()
            }
        };
        Ok(Raw { dtype, shape, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::Dtype;

    #[test]
    fn patterns_by_hand() {
        let to = |from, to, path: &str| Rule(from, to, Form::Same).renamed(path);
        assert_eq!(to("a.#.b.*", "x.#.y.*", "p.q.a.12.b.c.d").unwrap(), "p.q.x.12.y.c.d");
        assert_eq!(to("a.#.#.*", "a.#.*", "a.3.12.w").unwrap(), "a.12.w");
        assert_eq!(to("proj", "head.weight", "visual.proj").unwrap(), "visual.head.weight");
        assert_eq!(to("proj", "head.weight", "proj").unwrap(), "head.weight");
        for (from, path) in
            [("proj", "visual.proj.bias"), ("proj", "out_proj"), ("a.#", "a.b"), ("a.#", "a."), ("a.*", "a")]
        {
            assert_eq!(to(from, "x", path), None, "{from} {path}");
        }
    }

    #[test]
    fn forms_by_hand() {
        let raw = |shape: &[usize], bytes: &[u8]| Raw {
            dtype: Dtype::U8,
            shape: shape.to_vec(),
            bytes: bytes.to_vec().into(),
        };
        let made = |form: Form, parts: &[Raw<'static>]| form.made(parts.to_vec());
        let x = raw(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(made(Form::Transposed, std::slice::from_ref(&x)).unwrap(), raw(&[3, 2], &[1, 4, 2, 5, 3, 6]));
        assert_eq!(made(Form::ThreeAxes, std::slice::from_ref(&x)).unwrap(), raw(&[1, 2, 3], &[1, 2, 3, 4, 5, 6]));
        let both = made(Form::Rows(0, 2), &[x.clone(), raw(&[1, 3], &[7, 8, 9])]).unwrap();
        assert_eq!(both, raw(&[3, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9]));
        let zeros = made(Form::AfterZeros, &[raw(&[1, 2, 2], &[1, 2, 3, 4])]).unwrap();
        assert_eq!(zeros, raw(&[1, 3, 2], &[0, 0, 1, 2, 3, 4]));
        assert!(made(Form::Rows(0, 3), &[x.clone(), x.clone()]).unwrap_err().contains("shapes"));
        assert!(made(Form::Rows(0, 2), &[x.clone(), raw(&[1, 2], &[7, 8])]).is_err());
        let other = Raw { dtype: Dtype::I8, ..x.clone() };
        assert!(made(Form::Rows(0, 2), &[x.clone(), other]).unwrap_err().contains("different types"));
        assert!(made(Form::Transposed, &[raw(&[2], &[1, 2])]).is_err());
        assert!(made(Form::Same, &[]).is_err());
    }
}
