//! What was measured of the two, side by side.

use serde_json::{Value, json};
use vcp_benches::arm::Sample;
use vcp_benches::stats::Samples;
use vcp_benches::table::{self, Title};
use vcp_benches::workload::Workload;

use crate::plan::{self, Link};
use crate::scene::Kind;

/// A figure of a sample.
pub(crate) type Figure = fn(&Sample) -> f64;

/// Both on one link under one workload.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) link: Link,
    pub(crate) workload: Workload,
    /// In the order of [`Kind::BOTH`].
    pub(crate) samples: [Vec<Sample>; 2],
}

/// All of a run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) bulk: Vec<Pair>,
    pub(crate) requests: Vec<Pair>,
    /// CPUs that other processes used, each time two were compared.
    pub(crate) others: Vec<f64>,
}

impl Pair {
    pub(crate) fn new(link: Link, workload: Workload) -> Self {
        Self {
            link,
            workload,
            samples: Default::default(),
        }
    }

    pub(crate) fn of(&self, kind: Kind, figure: Figure) -> Samples {
        let index = Kind::BOTH.iter().position(|k| *k == kind);
        let samples = &self.samples[index.expect("one of both")];
        samples.iter().map(figure).collect()
    }

    /// The median with the box to that without.
    pub(crate) fn ratio(&self, figure: Figure) -> f64 {
        let [native, wasm] = Kind::BOTH.map(|kind| self.of(kind, figure).median());
        wasm / native
    }

    /// What the box takes away of the rate, in percent.
    pub(crate) fn lost(&self) -> f64 {
        (1.0 - self.ratio(|sample| sample.requests_per_second)) * 100.0
    }

    /// What it adds to the CPU time of each request, or of each byte, in percent.
    pub(crate) fn added(&self) -> f64 {
        (self.ratio(|sample| sample.cpu_per_byte) - 1.0) * 100.0
    }

    pub(crate) fn published(&self) -> Option<f64> {
        plan::published(self.link, self.workload)
    }

    pub(crate) fn json(&self) -> Value {
        let arm = |kind: Kind| {
            let all = |figure: Figure| {
                let samples = self.of(kind, figure);
                json!({ "median": samples.median(), "samples": samples.all() })
            };
            json!({
                "requests_per_second": all(|sample| sample.requests_per_second),
                "bytes_per_second": all(|sample| sample.bytes_per_second),
                "cpu_seconds_per_request": all(|sample| sample.cpu_per_request),
                "cpu_seconds_per_byte": all(|sample| sample.cpu_per_byte),
            })
        };
        json!({
            "mtu": self.link.mtu,
            "offload": self.link.offload,
            "workload": self.workload.to_string(),
            "native": arm(Kind::Native),
            "wasm": arm(Kind::Wasm),
            "rate_lost_percent": self.lost(),
            "cpu_added_percent": self.added(),
            "published_percent": self.published(),
        })
    }
}

/// A table of pairs: its rate and its cost, each with its scale, unit and digits.
pub(crate) struct Layout {
    titles: &'static [Title],
    rate: (Figure, f64, usize),
    cost: (Figure, f64, usize),
}

/// Of bulk data.
pub(crate) const BULK: Layout = Layout {
    titles: &[
        Title::words("link", 13),
        Title::words("data", 17),
        Title::numbers("MB/s native", 17),
        Title::numbers("MB/s wasm", 17),
        Title::numbers("less, %", 7),
        Title::numbers("CPU ns/B native", 19),
        Title::numbers("CPU ns/B wasm", 19),
        Title::numbers("more, %", 7),
        Title::numbers("paper, %", 8),
    ],
    rate: (|sample| sample.bytes_per_second, 1e-6, 0),
    cost: (|sample| sample.cpu_per_byte, 1e9, 3),
};

/// Of requests.
pub(crate) const REQUESTS: Layout = Layout {
    titles: &[
        Title::words("link", 13),
        Title::words("requests", 17),
        Title::numbers("IOPS native", 20),
        Title::numbers("IOPS wasm", 20),
        Title::numbers("less, %", 7),
        Title::numbers("CPU µs/I/O native", 19),
        Title::numbers("CPU µs/I/O wasm", 19),
        Title::numbers("more, %", 7),
    ],
    rate: (|sample| sample.requests_per_second, 1.0, 0),
    cost: (|sample| sample.cpu_per_request, 1e6, 2),
};

impl Layout {
    pub(crate) fn heading(&self) -> String {
        table::heading(self.titles)
    }

    pub(crate) fn line(&self, pair: &Pair) -> String {
        let side = |kind, (figure, scale, digits): (Figure, f64, usize)| {
            let samples = pair.of(kind, figure);
            let [median, least, most] =
                [samples.median(), samples.least(), samples.most()].map(|value| value * scale);
            format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
        };
        let Link { mtu, offload } = pair.link;
        let mut cells = vec![
            format!("{mtu} {offload}"),
            pair.workload.to_string(),
            side(Kind::Native, self.rate),
            side(Kind::Wasm, self.rate),
            format!("{:.1}", pair.lost()),
            side(Kind::Native, self.cost),
            side(Kind::Wasm, self.cost),
            format!("{:.1}", pair.added()),
        ];
        let published = pair.published();
        cells.push(published.map_or_else(String::new, |percent| percent.to_string()));
        // Not every table has a column for it.
        cells.truncate(self.titles.len());
        table::line(self.titles, &cells)
    }

    /// All of it.
    pub(crate) fn table(&self, pairs: &[Pair]) -> String {
        let lines = pairs.iter().map(|pair| self.line(pair));
        let all = std::iter::once(self.heading()).chain(lines);
        all.collect::<Vec<_>>().join("\n")
    }
}
