//! What was measured, as a line of a table.

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    /// Nothing in particular: it is there to be compared with.
    Any,
    /// No more than this.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
    /// No further from the first than the second.
    Near(f64, f64),
}

/// One figure, measured once or several times.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    /// In ascending order.
    samples: Vec<f64>,
    want: Want,
    /// CPUs that others used meanwhile.
    others: Option<f64>,
}

impl Row {
    /// Of one sample at least.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "nothing was measured");
        Self {
            what: what.into(),
            unit,
            samples: sorted(samples),
            want: Want::Any,
            others: None,
        }
    }

    pub(crate) fn want(self, want: Want) -> Self {
        Self { want, ..self }
    }

    pub(crate) fn others(self, cores: f64) -> Self {
        Self {
            others: Some(cores),
            ..self
        }
    }

    pub(crate) fn median(&self) -> f64 {
        quantile(&self.samples, 0.5)
    }

    /// Whether the median is what it should be, where that is said.
    pub(crate) fn passes(&self) -> Option<bool> {
        let median = self.median();
        match self.want {
            Want::Any => None,
            Want::AtMost(most) => Some(median <= most),
            Want::AtLeast(least) => Some(median >= least),
            Want::Near(target, by) => Some((median - target).abs() <= by),
        }
    }

    /// The line, its cells between bars as Markdown has it.
    pub(crate) fn line(&self) -> String {
        let range = format!(
            "{}–{}",
            figure(self.samples[0]),
            figure(self.samples[self.samples.len() - 1])
        );
        let others = self.others.map_or_else(String::new, |o| format!("{o:.2}"));
        format!(
            "| {:<66} | {:<8} | {:>8} | {range:>17} | {:>3} | {:>12} | {:<4} | {others:>6} |",
            self.what,
            self.unit,
            figure(self.median()),
            self.samples.len(),
            self.wanted(),
            match self.passes() {
                None => "",
                Some(true) => "PASS",
                Some(false) => "FAIL",
            },
        )
    }

    /// What heads the lines.
    pub(crate) fn heading() -> String {
        format!(
            "| {:<66} | {:<8} | {:>8} | {:>17} | {:>3} | {:>12} | {:<4} | {:>6} |\n\
             |{:-<68}|{:-<10}|{:->9}:|{:->18}:|{:->4}:|{:->13}:|{:-<6}|{:->7}:|",
            "what",
            "unit",
            "median",
            "range",
            "n",
            "wanted",
            "",
            "others",
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

    fn wanted(&self) -> String {
        match self.want {
            Want::Any => String::new(),
            Want::AtMost(most) => format!("≤ {}", figure(most)),
            Want::AtLeast(least) => format!("≥ {}", figure(least)),
            Want::Near(target, by) => format!("{} ± {}", figure(target), figure(by)),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let (least, most) = match self.want {
            Want::Any => (None, None),
            Want::AtMost(most) => (None, Some(most)),
            Want::AtLeast(least) => (Some(least), None),
            Want::Near(target, by) => (Some(target - by), Some(target + by)),
        };
        json!({
            "what": self.what,
            "unit": self.unit,
            "median": self.median(),
            "samples": self.samples,
            "wanted": { "least": least, "most": most },
            "passes": self.passes(),
            "cpus_of_others": self.others,
        })
    }
}

/// In ascending order.
pub(crate) fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// The sample that so much of all are not above; of an even number the median is
/// between two.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(place.floor()), at(place.ceil()))
}

/// Three digits or more.
fn figure(value: f64) -> String {
    match value.abs() {
        _ if (value - value.round()).abs() < 1e-9 => format!("{value:.0}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_judged() {
        let row = Row::new("x", "%", vec![9.0, 1.0, 2.0]);
        assert!((row.median() - 2.0).abs() < 1e-9);
        assert_eq!(row.clone().passes(), None);
        assert_eq!(row.clone().want(Want::AtMost(2.0)).passes(), Some(true));
        assert_eq!(row.clone().want(Want::AtLeast(2.1)).passes(), Some(false));
        assert_eq!(row.want(Want::Near(3.0, 1.0)).passes(), Some(true));
        let even = Row::new("x", "%", vec![9.0, 1.0, 2.0, 4.0]);
        assert!((even.median() - 3.0).abs() < 1e-9);
    }
}
