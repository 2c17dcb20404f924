//! What a mutation does to one operator. Each leaves as many bytes as it found,
//! and most leave valid code; what is not valid is found by the validator.
//!
//! Opcodes are those of the WebAssembly core specification, §5.4.

use std::fmt;

use super::leb;
use crate::random::Random;

/// A class of mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Another operator of two numbers.
    Arithmetic,
    /// Another comparison, or the same with another idea of the sign.
    Comparison,
    /// A condition the other way round.
    Condition,
    /// Another constant.
    Constant,
    /// A branch never taken, always taken, or to another place.
    Branch,
    /// A store, or a copy or fill of memory, that does not happen.
    DroppedStore,
    /// A load or store at another offset, or of another width.
    Access,
    /// Another local variable, or an assignment that does not happen.
    Local,
    /// A call of another function of the same type, or of none.
    Call,
    /// A selection that is always the first.
    Select,
    /// A global (the stack pointer) not set.
    Global,
}

impl Class {
    /// All of them, in the order of the results.
    pub const ALL: [Self; 11] = [
        Self::Arithmetic,
        Self::Comparison,
        Self::Condition,
        Self::Constant,
        Self::Branch,
        Self::DroppedStore,
        Self::Access,
        Self::Local,
        Self::Call,
        Self::Select,
        Self::Global,
    ];

    /// How many of a hundred mutants are of this class.
    pub fn share(self) -> u64 {
        match self {
            Self::Arithmetic | Self::Branch | Self::Local => 13,
            Self::Access | Self::Constant => 12,
            Self::Condition | Self::DroppedStore => 10,
            Self::Comparison => 8,
            Self::Call => 6,
            Self::Select => 2,
            Self::Global => 1,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arithmetic => "arithmetic",
            Self::Comparison => "comparison",
            Self::Condition => "condition",
            Self::Constant => "constant",
            Self::Branch => "branch",
            Self::DroppedStore => "dropped store",
            Self::Access => "memory access",
            Self::Local => "local",
            Self::Call => "call",
            Self::Select => "select",
            Self::Global => "global",
        })
    }
}

const NOP: u8 = 0x01;
const BLOCK: u8 = 0x02;
const LOOP: u8 = 0x03;
const UNREACHABLE: u8 = 0x00;
const BR: u8 = 0x0c;
const BR_IF: u8 = 0x0d;
const CALL: u8 = 0x10;
const DROP: u8 = 0x1a;
const SELECT: u8 = 0x1b;
const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const LOCAL_TEE: u8 = 0x22;
const GLOBAL_SET: u8 = 0x24;
const I32_EQZ: u8 = 0x45;
const I64_EQZ: u8 = 0x50;
const I32_WRAP: u8 = 0xa7;
const BULK: u8 = 0xfc;

/// Whether operators that start with this byte may be changed in that class.
/// `next` is the first byte of the operator behind, of one byte at least.
pub(crate) fn applies(class: Class, operator: &[u8], next: Option<u8>) -> bool {
    let first = operator[0];
    match class {
        Class::Arithmetic => arithmetic(first).is_some(),
        Class::Comparison => comparison(first).is_some(),
        Class::Condition => inverse(first).is_some() && matches!(next, Some(BR_IF | 0x04 | SELECT)),
        Class::Constant => matches!(first, 0x41 | 0x42),
        Class::Branch => matches!(first, BR | BR_IF | 0x0e),
        Class::DroppedStore => {
            (0x36..=0x3e).contains(&first) || first == BULK && matches!(operator[1], 0x0a | 0x0b)
        }
        Class::Access => (0x28..=0x3e).contains(&first),
        Class::Local => matches!(first, LOCAL_GET | LOCAL_SET | LOCAL_TEE),
        Class::Call => first == CALL,
        // What pushes the condition goes with the operator itself.
        Class::Select => first == LOCAL_GET && next == Some(SELECT),
        Class::Global => first == GLOBAL_SET,
    }
}

/// The operators of two numbers that `opcode` is one of; those of floats aside.
fn arithmetic(opcode: u8) -> Option<std::ops::RangeInclusive<u8>> {
    [0x67..=0x69, 0x6a..=0x78, 0x79..=0x7b, 0x7c..=0x8a]
        .into_iter()
        .find(|group| group.contains(&opcode))
}

fn comparison(opcode: u8) -> Option<std::ops::RangeInclusive<u8>> {
    [0x46..=0x4f, 0x51..=0x5a]
        .into_iter()
        .find(|group| group.contains(&opcode))
}

/// What is true exactly when `opcode` is not.
fn inverse(opcode: u8) -> Option<u8> {
    // eq, ne, lt_s, lt_u, gt_s, gt_u, le_s, le_u, ge_s, ge_u
    const INVERSE: [u8; 10] = [1, 0, 8, 9, 6, 7, 4, 5, 2, 3];
    match opcode {
        I32_EQZ => Some(NOP),
        I64_EQZ => Some(I32_WRAP),
        0x46..=0x4f => Some(0x46 + INVERSE[usize::from(opcode - 0x46)]),
        0x51..=0x5a => Some(0x51 + INVERSE[usize::from(opcode - 0x51)]),
        _ => None,
    }
}

/// What a change may need to know of the code around.
pub(crate) struct Surroundings<'a> {
    /// Other functions of the type of the one that is called.
    pub(crate) alike: &'a dyn Fn(u32) -> &'a [u32],
}

/// Changes the operator that fills `bytes`, and with [`Class::Select`] the one
/// behind it, too. `false` when the dice fell on something that can't be done.
pub(crate) fn change(
    class: Class,
    bytes: &mut [u8],
    surroundings: &Surroundings<'_>,
    random: &mut Random,
) -> bool {
    let first = bytes[0];
    match class {
        Class::Arithmetic => other_of(arithmetic(first), &mut bytes[0], random),
        Class::Comparison => other_of(comparison(first), &mut bytes[0], random),
        Class::Condition => match inverse(first) {
            Some(inverse) => {
                bytes[0] = inverse;
                true
            }
            None => false,
        },
        Class::Constant => constant(&mut bytes[1..], random),
        Class::Branch => branch(bytes, random),
        Class::DroppedStore => {
            let operands = if first == BULK { 3 } else { 2 };
            bytes.fill(NOP);
            bytes[..operands].fill(DROP);
            true
        }
        Class::Access => access(bytes, random),
        Class::Local => local(bytes, random),
        Class::Call => call(bytes, surroundings, random),
        Class::Select => {
            bytes.fill(NOP);
            bytes[0] = DROP;
            true
        }
        Class::Global => {
            bytes.fill(NOP);
            bytes[0] = DROP;
            true
        }
    }
}

/// Whether the operator only opens a block that control falls into: what is in it
/// runs when the operator does.
pub(crate) fn opens(bytes: &[u8]) -> bool {
    matches!(bytes[0], BLOCK | LOOP)
}

/// Makes the operator one that can't be executed, whatever the stack holds.
pub(crate) fn trap(bytes: &mut [u8]) {
    bytes.fill(NOP);
    bytes[0] = UNREACHABLE;
}

fn other_of(
    group: Option<std::ops::RangeInclusive<u8>>,
    opcode: &mut u8,
    random: &mut Random,
) -> bool {
    let Some(group) = group else { return false };
    let count = u64::from(group.end() - group.start());
    // One of the others: those from its own place on are one further.
    let other = group.start() + random.below(count) as u8;
    *opcode = other + u8::from(other >= *opcode);
    true
}

fn constant(number: &mut [u8], random: &mut Random) -> bool {
    let value = leb::signed(number);
    let bits = (number.len() as u32 * 7).min(64);
    let other = match random.below(6) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => 0,
        3 => value.wrapping_neg(),
        _ => value ^ 1 << random.below(u64::from(bits)),
    };
    other != value && leb::put_signed(number, other)
}

fn branch(bytes: &mut [u8], random: &mut Random) -> bool {
    if bytes[0] == 0x0e {
        return table(&mut bytes[1..], random);
    }
    match random.below(3) {
        0 if bytes[0] == BR_IF => {
            bytes.fill(NOP);
            bytes[0] = DROP;
            true
        }
        1 if bytes[0] == BR_IF => {
            bytes[0] = BR;
            true
        }
        _ => nearby(&mut bytes[1..], 8, random),
    }
}

/// Turns one label of a table into another.
fn table(vector: &mut [u8], random: &mut Random) -> bool {
    let Some((count, digits)) = leb::unsigned(vector) else {
        return false;
    };
    let mut at = digits;
    // One more than counted: the default.
    let mut labels = Vec::new();
    for _ in 0..=count {
        let Some((_, digits)) = vector.get(at..).and_then(leb::unsigned) else {
            return false;
        };
        labels.push(at..at + digits);
        at += digits;
    }
    let label = random.pick(&labels).clone();
    let from = random.pick(&labels).clone();
    let (old, new) = (
        leb::unsigned(&vector[label.clone()]),
        leb::unsigned(&vector[from]),
    );
    match (old, new) {
        (Some((old, _)), Some((new, _))) if old != new => {
            leb::put_unsigned(&mut vector[label], new)
        }
        _ => false,
    }
}

/// Another index, not further away than `reach`.
fn nearby(index: &mut [u8], reach: u64, random: &mut Random) -> bool {
    let Some((value, _)) = leb::unsigned(index) else {
        return false;
    };
    let least = value.saturating_sub(reach);
    let other = least + random.below(value - least + reach);
    leb::put_unsigned(index, other + u64::from(other >= value))
}

fn access(bytes: &mut [u8], random: &mut Random) -> bool {
    // Another width of the same type, as far as the alignment allows.
    const WIDTHS: [&[u8]; 4] = [
        &[0x28, 0x2c, 0x2d, 0x2e, 0x2f],
        &[0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35],
        &[0x36, 0x3a, 0x3b],
        &[0x37, 0x3c, 0x3d, 0x3e],
    ];
    if random.chance(1, 4) {
        let Some(group) = WIDTHS.iter().find(|group| group.contains(&bytes[0])) else {
            return false;
        };
        let other = *random.pick(group);
        return std::mem::replace(&mut bytes[0], other) != other;
    }
    let Some((_, align)) = leb::unsigned(&bytes[1..]) else {
        return false;
    };
    let offset = &mut bytes[1 + align..];
    let Some((value, length)) = leb::unsigned(offset) else {
        return false;
    };
    let other = match random.below(4) {
        0 => value + 4,
        1 => value.saturating_sub(4),
        2 => value + 1,
        _ => value ^ 1 << random.below((length as u64 * 7).min(32)),
    };
    other != value && leb::put_unsigned(offset, other)
}

fn local(bytes: &mut [u8], random: &mut Random) -> bool {
    match bytes[0] {
        LOCAL_SET if random.chance(1, 3) => {
            bytes.fill(NOP);
            bytes[0] = DROP;
            true
        }
        LOCAL_TEE if random.chance(1, 3) => {
            bytes.fill(NOP);
            true
        }
        _ => nearby(&mut bytes[1..], 12, random),
    }
}

fn call(bytes: &mut [u8], surroundings: &Surroundings<'_>, random: &mut Random) -> bool {
    let Some((callee, _)) = leb::unsigned(&bytes[1..]) else {
        return false;
    };
    let alike = (surroundings.alike)(callee as u32);
    if alike.is_empty() || random.chance(1, 3) {
        // Valid for those that take as many numbers as they give, and the like.
        bytes.fill(NOP);
        bytes[0] = *random.pick(&[NOP, DROP]);
        if random.chance(1, 2) && bytes.len() > 1 {
            bytes[1] = DROP;
        }
        return true;
    }
    let other = *random.pick(alike);
    u64::from(other) != callee && leb::put_unsigned(&mut bytes[1..], u64::from(other))
}
