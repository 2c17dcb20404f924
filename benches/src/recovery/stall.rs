//! How long a crash is felt: from the fault to the next answer, with one request
//! in flight. VCPs without and with a spare are killed in turn.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use vcp_benches::bed::{Bed, Running};
use vcp_benches::row::{Row, Want};
use vcp_core::{Event, Injection, Settings};
use vcp_queue::Status;
use vcp_tests::lab::Lab;
use vcp_tests::tgtd::Lun;

use crate::bed::initiator;
use crate::client::{Completion, Load, attach};

/// Between two crashes of one VCP: it serves, and a spare is made.
const PAUSE: Duration = Duration::from_millis(60);
/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(10);

/// A VCP under load.
struct Arm {
    what: &'static str,
    running: Running,
    completions: Receiver<Completion>,
    samples: Vec<f64>,
    errors: u64,
}

/// Kills each so many times.
pub(crate) fn measure(bed: &Bed, lab: &Lab, lun: &Lun, crashes: usize) -> Vec<Row> {
    let kinds = [
        ("stall of a crash, QD1", false, 5.0),
        ("stall of a crash, QD1, warm spare", true, 2.0),
    ];
    let mut arms = Vec::new();
    for (index, (what, spare, _)) in kinds.iter().enumerate() {
        let mut settings = initiator(bed, lab, lun, index as u8 + 1);
        settings.restart.spare = *spare;
        arms.push(Arm::start(bed, what, settings, lun.size));
    }
    for _ in 0..crashes {
        for arm in &mut arms {
            arm.crash();
        }
    }
    let wanted = kinds.map(|(_, _, most)| most);
    arms.into_iter()
        .zip(wanted)
        .map(|(arm, most)| arm.row().want(Want::AtMost(most)))
        .collect()
}

impl Arm {
    fn start(bed: &Bed, what: &'static str, settings: Settings, span: u64) -> Self {
        let running = bed.start(settings);
        let load = Load {
            depth: 1,
            block: 4096,
            span,
            writes: true,
        };
        let completions = attach(&running.vcp, load);
        Self {
            what,
            running,
            completions,
            samples: Vec::new(),
            errors: 0,
        }
    }

    fn row(self) -> Row {
        Row::new(self.what, "ms", self.samples).errors(self.errors)
    }

    /// Kills it, and notes when the next generation answers first.
    fn crash(&mut self) {
        std::thread::sleep(PAUSE);
        let before = self.running.vcp.stats().generation;
        while let Ok(completion) = self.completions.try_recv() {
            self.errors += u64::from(completion.status != Status::Ok);
        }
        let began = Instant::now();
        self.running.vcp.inject(Injection::Trap);
        loop {
            let completion = self
                .completions
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("{}: no answer after a crash", self.what));
            self.errors += u64::from(completion.status != Status::Ok);
            if completion.generation > before {
                let stall = completion.at.saturating_duration_since(began);
                self.samples.push(stall.as_secs_f64() * 1e3);
                break;
            }
        }
        while let Ok(event) = self.running.events.try_recv() {
            assert!(
                !matches!(event, Event::Failed(_)),
                "{}: {event:?}",
                self.what
            );
        }
    }
}
