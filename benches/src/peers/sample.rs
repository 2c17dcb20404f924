//! Figures of one run, and what several come to.

use crate::workload::Workload;

/// One arm, one workload, once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Requests answered a second.
    pub(crate) requests_per_second: f64,
    /// Bytes moved a second.
    pub(crate) bytes_per_second: f64,
    /// CPU seconds of the serving process for each request.
    pub(crate) cpu_per_request: f64,
    /// CPU seconds of it a second.
    pub(crate) cores: f64,
}

/// Median and range.
#[derive(Debug, Clone, Copy)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn new(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Self {
        let mut figures: Vec<f64> = samples.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Self {
            least: figures[0],
            median,
            most: figures[figures.len() - 1],
        }
    }
}

/// Several runs of one arm and one workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    requests: Spread,
    bytes: Spread,
    cpu: Spread,
    cores: Spread,
}

impl Summary {
    /// Of one sample at least.
    pub(crate) fn new(samples: &[Sample]) -> Self {
        Self {
            requests: Spread::new(samples, |sample| sample.requests_per_second),
            bytes: Spread::new(samples, |sample| sample.bytes_per_second),
            cpu: Spread::new(samples, |sample| sample.cpu_per_request),
            cores: Spread::new(samples, |sample| sample.cores),
        }
    }

    /// Median requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests.median
    }

    /// Column titles of [`Self::row`], as Markdown.
    pub(crate) fn heading() -> String {
        let titles = format!(
            "| {:<18} | {:<14} | {:>26} | {:>7} | {:>20} | {:>5} | {:>5} |",
            "workload", "initiator", "IOPS", "MB/s", "CPU µs per I/O", "cores", "ratio"
        );
        format!("{titles}\n|---|---|---|---|---|---|---|")
    }

    /// One line of the table.
    pub(crate) fn row(&self, workload: &Workload, arm: &str, ratio: f64) -> String {
        let requests = format!(
            "{:.0} ({:.0}–{:.0})",
            self.requests.median, self.requests.least, self.requests.most
        );
        let micro = 1e6;
        let cpu = format!(
            "{:.1} ({:.1}–{:.1})",
            self.cpu.median * micro,
            self.cpu.least * micro,
            self.cpu.most * micro
        );
        format!(
            "| {workload:<18} | {arm:<14} | {requests:>26} | {:>7.0} | {cpu:>20} | {:>5.2} | {ratio:>4.2}× |",
            self.bytes.median / 1e6,
            self.cores.median,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64) -> Sample {
        Sample {
            requests_per_second: rate,
            bytes_per_second: 0.0,
            cpu_per_request: 0.0,
            cores: 0.0,
        }
    }

    #[test]
    fn medians() {
        let odd = Summary::new(&[sample(9.0), sample(1.0), sample(2.0)]);
        assert!((odd.rate() - 2.0).abs() < 1e-9);
        let even = Summary::new(&[sample(9.0), sample(1.0), sample(2.0), sample(4.0)]);
        assert!((even.rate() - 3.0).abs() < 1e-9);
    }
}
