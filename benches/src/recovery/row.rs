//! What was measured, as a line of a table.

use serde_json::{Value, json};

/// One thing that was measured several times.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) what: String,
    /// Of the figures.
    pub(crate) unit: &'static str,
    /// In ascending order.
    samples: Vec<f64>,
    /// Requests that were answered with an error meanwhile.
    pub(crate) errors: u64,
    /// The median that is wanted, if one is.
    pub(crate) at_most: Option<f64>,
}

impl Row {
    pub(crate) fn new(what: &str, unit: &'static str, mut samples: Vec<f64>, errors: u64) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            what: what.to_owned(),
            unit,
            samples,
            errors,
            at_most: None,
        }
    }

    /// With a median that is wanted.
    pub(crate) fn at_most(self, median: f64) -> Self {
        Self {
            at_most: Some(median),
            ..self
        }
    }

    /// The sample that so much of all are not above.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let last = self.samples.len().saturating_sub(1);
        let index = (part * last as f64).round() as usize;
        self.samples.get(index).copied().unwrap_or(f64::NAN)
    }

    /// Whether what is wanted was reached, and without errors.
    pub(crate) fn is_good(&self) -> bool {
        let median = self.quantile(0.5);
        self.errors == 0 && self.at_most.is_none_or(|most| median <= most)
    }

    /// The line, its cells between bars as Markdown has it.
    pub(crate) fn line(&self) -> String {
        let [least, median, p99, most] = [0.0, 0.5, 0.99, 1.0].map(|part| self.quantile(part));
        let wanted = self
            .at_most
            .map_or_else(String::new, |most| format!("≤ {most}"));
        format!(
            "| {:<52} | {:<5} | {:>5} | {median:>8.3} | {least:>8.3} | {p99:>8.3} | {most:>8.3} \
             | {:>6} | {wanted:>6} |",
            self.what,
            self.unit,
            self.samples.len(),
            self.errors
        )
    }

    /// What heads the lines.
    pub(crate) fn heading() -> String {
        format!(
            "| {:<52} | {:<5} | {:>5} | {:>8} | {:>8} | {:>8} | {:>8} | {:>6} | {:>6} |\n\
             |{:-<54}|{:-<7}|{:->6}:|{:->9}:|{:->9}:|{:->9}:|{:->9}:|{:->7}:|{:->7}:|",
            "what",
            "unit",
            "n",
            "median",
            "least",
            "p99",
            "most",
            "errors",
            "wanted",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            ""
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "n": self.samples.len(),
            "median": self.quantile(0.5),
            "least": self.quantile(0.0),
            "p99": self.quantile(0.99),
            "most": self.quantile(1.0),
            "errors": self.errors,
            "at_most": self.at_most,
        })
    }
}
