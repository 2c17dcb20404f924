//! Figures that were measured more than once.

/// Samples of one figure, in ascending order.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// In whatever order they were taken.
    #[must_use]
    pub fn new(samples: Vec<f64>) -> Self {
        Self(sorted(samples))
    }

    /// Half of them are below; `NaN` of none.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// See [`quantile`].
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        quantile(&self.0, part)
    }

    /// `NaN` of none.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    /// `NaN` of none.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them, in ascending order.
    #[must_use]
    pub fn all(&self) -> &[f64] {
        &self.0
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        Self::new(samples.into_iter().collect())
    }
}

/// In ascending order.
#[must_use]
pub fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// The sample that so much of all, from 0 to 1, are not above; where that is between
/// two of them, what is in the middle of these. `NaN` of none.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(place.floor()), at(place.ceil()))
}

/// Three digits or more, and no fraction of what is whole.
#[must_use]
pub fn figure(value: f64) -> String {
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

    fn near(is: f64, should: f64) {
        assert!((is - should).abs() < 1e-9, "{is}, not {should}");
    }

    #[test]
    fn quantiles() {
        let odd = Samples::new(vec![9.0, 1.0, 2.0]);
        near(odd.median(), 2.0);
        near(odd.least(), 1.0);
        near(odd.most(), 9.0);
        let even: Samples = [9.0, 1.0, 2.0, 4.0].into_iter().collect();
        near(even.median(), 3.0);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn digits() {
        let shown = [0.1234, 12.345, 123.45, 1234.5, 7.0].map(figure);
        assert_eq!(shown, ["0.123", "12.35", "123.5", "1234", "7"]);
    }
}
