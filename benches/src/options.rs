//! What a program that writes a page is asked to do.

use std::path::PathBuf;

/// The words after the name of the program.
#[derive(Debug, Default)]
pub struct Options {
    /// Short, and not good enough to be kept.
    pub quick: bool,
    /// The exit code says whether all that is wanted was reached.
    pub strict: bool,
    /// Go before what else there is on the machine.
    pub precedence: bool,
    /// Where to write.
    pub out: Option<PathBuf>,
    /// Only what has this in its name, where the program can do a part.
    pub only: Option<String>,
}

impl Options {
    /// How they are written.
    pub const USAGE: &str = "[--quick] [--strict] [--precedence] [--out DIRECTORY]";

    /// Those of this process; `None` where there is another.
    #[must_use]
    pub fn given() -> Option<Self> {
        let mut options = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--strict" => options.strict = true,
                "--precedence" => options.precedence = true,
                "--only" => options.only = Some(arguments.next()?),
                "--out" => options.out = Some(arguments.next()?.into()),
                _ => return None,
            }
        }
        Some(options)
    }
}
