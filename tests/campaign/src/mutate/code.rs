//! Finds what can be changed: the operators of all functions of a component's
//! core modules, and what is known of the functions.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context as _, Result};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

/// A function with code.
#[derive(Debug, Clone)]
pub struct Function {
    /// Of which core module of the component, in order.
    pub module: u32,
    /// Its index in that module, imports included.
    pub index: u32,
    /// Its type's index in that module.
    pub ty: u32,
    /// From the name section; empty if it has none there.
    pub name: String,
    /// Its operators, in [`Code::operators`].
    pub operators: Range<usize>,
}

/// Where an operator is.
#[derive(Debug, Clone, Copy)]
pub struct Operator {
    /// Offset in the component.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

impl Operator {
    /// Its place in the component.
    pub fn range(self) -> Range<usize> {
        self.offset as usize..(self.offset + self.length) as usize
    }
}

/// All code of a component.
#[derive(Debug, Default)]
pub struct Code {
    /// All functions with code.
    pub functions: Vec<Function>,
    /// Their operators, in order.
    pub operators: Vec<Operator>,
    /// By module: the type of each function, imports first.
    pub types: Vec<Vec<u32>>,
}

impl Code {
    /// Reads a component.
    pub fn of(component: &[u8]) -> Result<Self> {
        let mut code = Self::default();
        let mut names = HashMap::new();
        // Functions of the present module that had their code already.
        let mut seen = 0;
        for payload in Parser::new(0).parse_all(component) {
            match payload.context("reading the component")? {
                Payload::ModuleSection { .. } => code.types.push(Vec::new()),
                Payload::ImportSection(section) => {
                    let types = code.types.last_mut().context("an import outside")?;
                    for import in section.into_imports() {
                        if let TypeRef::Func(ty) = import?.ty {
                            types.push(ty);
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    let types = code.types.last_mut().context("a function outside")?;
                    seen = types.len();
                    for ty in section {
                        types.push(ty?);
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    code.add(seen, &body)?;
                    seen += 1;
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(reader) = section.as_known() {
                        let module = code.types.len() as u32;
                        for part in reader {
                            if let Name::Function(map) = part? {
                                for naming in map {
                                    let naming = naming?;
                                    names.insert((module, naming.index), naming.name.to_owned());
                                }
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for function in &mut code.functions {
            // Modules are counted from 1 above: the one being read is the last.
            if let Some(name) = names.remove(&(function.module + 1, function.index)) {
                function.name = plain(&name);
            }
        }
        Ok(code)
    }

    /// The function whose code is at this offset in the component.
    pub fn at(&self, offset: usize) -> Option<&Function> {
        let holds = |function: &&Function| {
            let operators = &self.operators[function.operators.clone()];
            let first = operators.first().map(|operator| operator.range().start);
            let last = operators.last().map(|operator| operator.range().end);
            first.is_some_and(|at| at <= offset) && last.is_some_and(|end| offset < end)
        };
        self.functions.iter().find(holds)
    }

    fn add(&mut self, index: usize, body: &wasmparser::FunctionBody<'_>) -> Result<()> {
        let first = self.operators.len();
        let mut previous: Option<u32> = None;
        let end = body.range().end as u32;
        for operator in body.get_operators_reader()?.into_iter_with_offsets() {
            let offset = operator?.1 as u32;
            self.close(previous, offset);
            previous = Some(offset);
        }
        self.close(previous, end);
        let module = self.types.len() - 1;
        self.functions.push(Function {
            module: module as u32,
            index: index as u32,
            ty: self.types[module][index],
            name: String::new(),
            operators: first..self.operators.len(),
        });
        Ok(())
    }

    fn close(&mut self, offset: Option<u32>, end: u32) {
        if let Some(offset) = offset {
            self.operators.push(Operator {
                offset,
                length: end - offset,
            });
        }
    }
}

/// A name as its source has it, where a Rust compiler mangled it.
fn plain(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
