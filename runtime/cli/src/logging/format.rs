//! How a message is written: as `tracing-subscriber` writes it, with every value cut to
//! length and escaped, whoever said it.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::text::{Cut, MOST};

/// Most characters of a message itself: of a guest's log more are never taken. What it
/// quotes is shorter, see [`Shown`](super::text::Shown).
const LONGEST: usize = 4200;

/// Writes the fields of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'writer>, fields: R) -> fmt::Result {
        let mut writing = Writing {
            to: &mut to,
            first: true,
            outcome: Ok(()),
        };
        fields.record(&mut writing);
        writing.outcome
    }
}

struct Writing<'a, 'writer> {
    to: &'a mut Writer<'writer>,
    first: bool,
    outcome: fmt::Result,
}

impl Writing<'_, '_> {
    fn write(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.to.write_char(' ')?;
        }
        let most = if name == "message" {
            LONGEST
        } else {
            write!(self.to, "{name}=")?;
            MOST
        };
        let mut cut = Cut::new(self.to, most);
        write!(cut, "{value:?}")?;
        cut.finish()
    }
}

impl Visit for Writing<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Where a message of the `log` crate came from is told by its target.
        if self.outcome.is_ok() && !field.name().starts_with("log.") {
            self.outcome = self.write(field.name(), value);
        }
    }
}
