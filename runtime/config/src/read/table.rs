//! TOML values that know their place and their key, so that every error is one line with
//! both.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Invalid, Place, did_you_mean};

/// The file that is being parsed.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn document(&self) -> Result<DeTable<'a>, ConfigError> {
        let document = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(self.text.len(), |span| span.start);
            // The parser's own messages may span lines.
            let mut words: Vec<&str> = error.message().split_whitespace().collect();
            let span = error.span().and_then(|span| self.text.get(span));
            if error.message() == "duplicate key" {
                words.extend(span);
            }
            self.error(at, "", words.join(" "))
        })?;
        Ok(document.into_inner())
    }

    fn error(&self, at: usize, key: &str, message: impl Display) -> ConfigError {
        ConfigError {
            place: self.place(at),
            key: key.to_owned(),
            message: message.to_string(),
        }
    }

    pub(super) fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// One value and its key.
#[derive(Clone)]
pub(super) struct Node<'a> {
    source: &'a Source<'a>,
    path: String,
    key_at: usize,
    value_at: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    /// An error about the value.
    pub(super) fn error(&self, message: impl Display) -> ConfigError {
        self.source.error(self.value_at.start, &self.path, message)
    }

    /// An error about the key.
    pub(super) fn key_error(&self, message: impl Display) -> ConfigError {
        self.source.error(self.key_at, &self.path, message)
    }

    /// Its dotted key.
    pub(super) fn key(&self) -> &str {
        &self.path
    }

    /// The place of its key.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.key_at)
    }

    fn expected(&self, expected: &str) -> ConfigError {
        let article = match self.value.type_str() {
            kind @ ("integer" | "array") => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        self.error(format!("expected {expected}, found {article}"))
    }

    pub(super) fn table(&self) -> Result<Table<'a>, ConfigError> {
        self.table_like("")
    }

    /// `example` shows what the table could be, and starts with a space.
    pub(super) fn table_like(&self, example: &str) -> Result<Table<'a>, ConfigError> {
        let table = self
            .value
            .as_table()
            .ok_or_else(|| self.expected(&format!("a table{example}")))?;
        Ok(Table::new(
            self.source,
            self.path.clone(),
            self.key_at,
            table,
        ))
    }

    pub(super) fn string(&self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number from 0, in any base.
    pub(super) fn integer(&self) -> Option<u64> {
        let integer = self.value.as_integer()?;
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A whole number in `range`.
    pub(super) fn number(&self, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        let number = self.wide_number(wide)?;
        Ok(u32::try_from(number).expect("both ends of the range are u32"))
    }

    /// A whole number in `range`, which may exceed 32 bits.
    pub(super) fn wide_number(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        if self.value.as_integer().is_none() {
            return Err(self.expected(&wanted));
        }
        self.integer()
            .filter(|n| range.contains(n))
            .ok_or_else(|| self.error(format!("expected {wanted}, found {}", self.text())))
    }

    /// A whole number in `range`, which may be negative.
    pub(super) fn signed_number(&self, range: RangeInclusive<i16>) -> Result<i16, ConfigError> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let Some(integer) = self.value.as_integer() else {
            return Err(self.expected(&wanted));
        };
        let number = i16::from_str_radix(integer.as_str(), integer.radix()).ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.error(format!("expected {wanted}, found {}", self.text())))
    }

    /// A number of bytes, given as a number or with a unit.
    pub(super) fn size(&self) -> Result<crate::ByteSize, ConfigError> {
        match self.integer() {
            Some(bytes) => Ok(crate::ByteSize(bytes)),
            None => self.parse(),
        }
    }

    /// A string, parsed to a value.
    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, ConfigError> {
        self.read(|text| text.parse())
    }

    /// A string, parsed by `read`. For a value of another type `read` also tells best
    /// what was expected.
    pub(super) fn read<T, E: Display>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        let text = self.scalar().map_err(|_| self.expected("a string"))?;
        let value = read(&text).map_err(|e| self.error(e))?;
        self.string().map(|_| value)
    }

    /// A string, number or boolean as the text that a module gets. Whole numbers are in
    /// decimal, others as written.
    pub(super) fn scalar(&self) -> Result<String, ConfigError> {
        match self.value {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            DeValue::Boolean(value) => Ok(value.to_string()),
            DeValue::Float(value) => Ok(value.as_str().to_owned()),
            DeValue::Integer(value) => i128::from_str_radix(value.as_str(), value.radix())
                .map(|n| n.to_string())
                .map_err(|_| self.expected("a number of at most 127 bits")),
            _ => Err(self.expected("a string, a number, true or false")),
        }
    }

    /// The elements of an array, or the value alone.
    pub(super) fn one_or_more(&self) -> Vec<Node<'a>> {
        self.array().unwrap_or_else(|| vec![self.clone()])
    }

    /// The elements of an array.
    pub(super) fn array(&self) -> Option<Vec<Node<'a>>> {
        let element = |value: &'a Spanned<DeValue<'a>>| Node {
            key_at: value.span().start,
            value_at: value.span(),
            value: value.get_ref(),
            ..self.clone()
        };
        Some(self.value.as_array()?.iter().map(element).collect())
    }

    pub(super) fn list(&self, of: &str) -> Result<Vec<Node<'a>>, ConfigError> {
        self.array()
            .ok_or_else(|| self.expected(&format!("a list of {of}")))
    }

    /// The value as it is written, shortened.
    pub(super) fn text(&self) -> String {
        let written = self.source.text.get(self.value_at.clone()).unwrap_or("");
        written
            .chars()
            .take_while(|c| !c.is_control())
            .take(64)
            .collect()
    }

    /// An error about the value, like [`Node::error`], that says what was expected.
    pub(super) fn not(&self, expected: &'static str) -> ConfigError {
        match self.value.as_str() {
            Some(found) => self.error(Invalid::new(expected, found)),
            None => self.expected(expected),
        }
    }
}

/// A table, its entries in the order of the file.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    path: String,
    at: usize,
    entries: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Table<'a> {
    pub(super) fn root(source: &'a Source<'a>, document: &'a DeTable<'a>) -> Self {
        Self::new(source, String::new(), 0, document)
    }

    fn new(source: &'a Source<'a>, path: String, at: usize, table: &'a DeTable<'a>) -> Self {
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a str = AsRef::<str>::as_ref(key.get_ref());
            let node = Node {
                source,
                path: join(&path, name),
                key_at: key.span().start,
                value_at: value.span(),
                value: value.get_ref(),
            };
            (name, node)
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|(_, node)| node.key_at);
        Self {
            source,
            path,
            at,
            entries,
        }
    }

    /// Refuses every key that is not one of these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.entries.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((name, node)) => {
                let hint = did_you_mean(name, known);
                let known = known.join(", ");
                Err(node.key_error(format!("unknown key{hint}; expected one of: {known}")))
            }
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &Node<'a>)> {
        self.entries.iter().map(|(name, node)| (*name, node))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        let (_, node) = self.entries.iter().find(|(name, _)| *name == key)?;
        Some(node)
    }

    pub(super) fn require(&self, key: &str, expected: &str) -> Result<&Node<'a>, ConfigError> {
        self.get(key)
            .ok_or_else(|| self.missing(key, &format!("missing; expected {expected}")))
    }

    /// An error about a missing key, at the table's own place.
    pub(super) fn missing(&self, key: &str, message: &str) -> ConfigError {
        self.missing_part(key, "", message)
    }

    /// Like [`Table::missing`], for `inner` of the table `key`, when both are missing.
    pub(super) fn missing_part(&self, key: &str, inner: &str, message: &str) -> ConfigError {
        let mut path = join(&self.path, key);
        if !inner.is_empty() {
            path = join(&path, inner);
        }
        self.source.error(self.at, &path, message)
    }
}

/// A dotted key; a part that cannot be bare is quoted.
pub(super) fn join(path: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => crate::error::quote(name),
    };
    match path {
        "" => name,
        _ => format!("{path}.{name}"),
    }
}
