//! The format of messages: that of `tracing-subscriber`, with every value cut to length
//! and escaped, whatever its origin.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::text::{Cut, MOST};

/// The longest message, in characters: longer ones of a guest are cut earlier. Text that
/// a message quotes is shorter, see [`Shown`](super::text::Shown).
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
        // The origin of a message of the `log` crate is its target.
        if self.outcome.is_ok() && !field.name().starts_with("log.") {
            self.outcome = self.write(field.name(), value);
        }
    }
}
