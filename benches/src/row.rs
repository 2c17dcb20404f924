//! A figure that was measured, what it should be, and how both are printed.

use serde_json::{Value, json};

use crate::stats::{Samples, figure};
use crate::table::{self, Title};

/// What the median of a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Want {
    /// Nothing in particular: it is there to be compared with.
    Any,
    /// No more than this.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
    /// No further from the first than the second.
    Near(f64, f64),
}

/// How a figure stands to what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wanted of it.
    None,
    /// It is.
    Pass,
    /// It is not, or requests failed.
    Fail,
    /// Something is wanted, and nobody looked.
    NotMeasured,
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotMeasured => "not measured",
        }
    }
}

/// One figure, measured once or several times, or not at all.
#[derive(Debug, Clone)]
pub struct Row {
    what: String,
    unit: &'static str,
    samples: Samples,
    want: Want,
    errors: Option<u64>,
    others: Option<f64>,
}

impl Row {
    /// Of one sample at least.
    ///
    /// # Panics
    /// Of none.
    #[must_use]
    pub fn new(what: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "nothing was measured");
        Self {
            samples: Samples::new(samples),
            ..Self::missing(what, unit)
        }
    }

    /// One that was not measured.
    #[must_use]
    pub fn missing(what: impl Into<String>, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            unit,
            samples: Samples::default(),
            want: Want::Any,
            errors: None,
            others: None,
        }
    }

    /// With what it should be.
    #[must_use]
    pub fn want(self, want: Want) -> Self {
        Self { want, ..self }
    }

    /// With the number of requests that failed meanwhile.
    #[must_use]
    pub fn errors(self, errors: u64) -> Self {
        Self {
            errors: Some(errors),
            ..self
        }
    }

    /// With how many CPUs other processes used meanwhile.
    #[must_use]
    pub fn others(self, cores: f64) -> Self {
        Self {
            others: Some(cores),
            ..self
        }
    }

    /// `NaN` where nothing was measured.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.samples.median()
    }

    /// Whether the median is what it should be.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let median = self.median();
        if self.errors.is_some_and(|errors| errors > 0) {
            return Verdict::Fail;
        }
        let met = match self.want {
            Want::Any => return Verdict::None,
            _ if median.is_nan() => return Verdict::NotMeasured,
            Want::AtMost(most) => median <= most,
            Want::AtLeast(least) => median >= least,
            Want::Near(target, by) => (median - target).abs() <= by,
        };
        if met { Verdict::Pass } else { Verdict::Fail }
    }

    /// For programs: all samples in ascending order, and what is wanted.
    #[must_use]
    pub fn json(&self) -> Value {
        let (least, most) = match self.want {
            Want::Any => (None, None),
            Want::AtMost(most) => (None, Some(most)),
            Want::AtLeast(least) => (Some(least), None),
            Want::Near(target, by) => (Some(target - by), Some(target + by)),
        };
        let passes = match self.verdict() {
            Verdict::None => None,
            verdict => Some(verdict == Verdict::Pass),
        };
        json!({
            "what": self.what,
            "unit": self.unit,
            "median": self.median(),
            "samples": self.samples.all(),
            "wanted": { "least": least, "most": most },
            "passes": passes,
            "errors": self.errors,
            "cpus_of_others": self.others,
        })
    }
}

/// What of a row is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// What was measured.
    What,
    /// Its unit.
    Unit,
    /// How many samples.
    Count,
    /// Of the samples.
    Median,
    /// From the least to the most.
    Range,
    /// Of the samples.
    Least,
    /// 99 of 100 samples are not above.
    P99,
    /// Of the samples.
    Most,
    /// Requests that failed.
    Errors,
    /// What the median should be.
    Wanted,
    /// Whether it is.
    Verdict,
    /// CPUs that other processes used.
    Others,
}

impl Column {
    /// With room for so many characters.
    const fn title(self, width: usize) -> Title {
        match self {
            Self::What => Title::words("what", width),
            Self::Unit => Title::words("unit", width),
            Self::Count => Title::numbers("n", width),
            Self::Median => Title::numbers("median", width),
            Self::Range => Title::numbers("range", width),
            Self::Least => Title::numbers("least", width),
            Self::P99 => Title::numbers("p99", width),
            Self::Most => Title::numbers("most", width),
            Self::Errors => Title::numbers("errors", width),
            Self::Wanted => Title::numbers("wanted", width),
            Self::Verdict => Title::words("", width),
            Self::Others => Title::numbers("others", width),
        }
    }

    fn cell(self, row: &Row) -> String {
        let samples = &row.samples;
        // Of a row without samples there is nothing to show.
        let number = |value: f64| Some(value).filter(|v| !v.is_nan()).map(figure);
        match self {
            Self::What => row.what.clone(),
            Self::Unit => row.unit.to_owned(),
            Self::Count => samples.count().to_string(),
            Self::Median => number(samples.median()).unwrap_or_default(),
            Self::Range => number(samples.least())
                .zip(number(samples.most()))
                .map_or_else(String::new, |(least, most)| format!("{least}–{most}")),
            Self::Least => number(samples.least()).unwrap_or_default(),
            Self::P99 => number(samples.quantile(0.99)).unwrap_or_default(),
            Self::Most => number(samples.most()).unwrap_or_default(),
            Self::Errors => row.errors.map_or_else(String::new, |e| e.to_string()),
            Self::Wanted => wanted(row.want),
            Self::Verdict => row.verdict().text().to_owned(),
            Self::Others => row.others.map_or_else(String::new, |o| format!("{o:.2}")),
        }
    }
}

fn wanted(want: Want) -> String {
    // A limit is exact: zeros at its end would say no more.
    let limit = |value: f64| match figure(value) {
        text if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        text => text,
    };
    match want {
        Want::Any => String::new(),
        Want::AtMost(most) => format!("≤ {}", limit(most)),
        Want::AtLeast(least) => format!("≥ {}", limit(least)),
        Want::Near(target, by) => format!("{} ± {}", limit(target), limit(by)),
    }
}

/// A table of rows: which columns, and how wide they are.
#[derive(Debug, Clone, Copy)]
pub struct Layout(pub &'static [(Column, usize)]);

impl Layout {
    /// The two lines above the rows.
    #[must_use]
    pub fn heading(self) -> String {
        table::heading(&self.titles())
    }

    /// The line of a row.
    #[must_use]
    pub fn line(self, row: &Row) -> String {
        let cells = self.0.iter().map(|(column, _)| column.cell(row));
        table::line(&self.titles(), &cells.collect::<Vec<_>>())
    }

    /// All of it.
    #[must_use]
    pub fn table(self, rows: &[Row]) -> String {
        let lines = rows.iter().map(|row| self.line(row));
        let all = std::iter::once(self.heading()).chain(lines);
        all.collect::<Vec<_>>().join("\n")
    }

    fn titles(self) -> Vec<Title> {
        let titles = self.0.iter().map(|(column, width)| column.title(*width));
        titles.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_judged() {
        let row = Row::new("x", "%", vec![9.0, 1.0, 2.0]);
        let verdict = |row: &Row, want| row.clone().want(want).verdict();
        assert_eq!(row.verdict(), Verdict::None);
        assert_eq!(verdict(&row, Want::AtMost(2.0)), Verdict::Pass);
        assert_eq!(verdict(&row, Want::AtLeast(2.1)), Verdict::Fail);
        assert_eq!(verdict(&row, Want::Near(3.0, 1.0)), Verdict::Pass);
        let failed = row.errors(1);
        assert_eq!(verdict(&failed, Want::AtMost(2.0)), Verdict::Fail);
    }

    #[test]
    fn limits_are_short() {
        assert_eq!(wanted(Want::AtLeast(1.2)), "≥ 1.2");
        assert_eq!(wanted(Want::Near(10.0, 0.25)), "10 ± 0.25");
        assert_eq!(wanted(Want::AtMost(185.4)), "≤ 185.4");
    }

    #[test]
    fn nothing_measured_is_no_pass() {
        let row = Row::missing("x", "%").want(Want::AtMost(1.0));
        assert_eq!(row.verdict(), Verdict::NotMeasured);
        assert_eq!(row.json()["passes"], false);
        let layout = Layout(&[(Column::What, 1), (Column::Range, 5), (Column::Verdict, 12)]);
        assert_eq!(layout.line(&row), "| x |       | not measured |");
    }
}
