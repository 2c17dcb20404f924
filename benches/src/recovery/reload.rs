//! What a reload costs those who use the disk: the longest time without an
//! answer around it, and the same for as long without a reload, for comparison.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use vcp_benches::bed::{Bed, Running};
use vcp_benches::row::{Row, Want};
use vcp_core::{Event, Injection, Module, ReloadError, Reloaded};
use vcp_queue::Status;
use vcp_tests::lab::Lab;
use vcp_tests::tgtd::Lun;

use crate::bed::initiator;
use crate::client::{Completion, Load, attach};

/// After a reload: what it left behind shows within this.
const AFTER: Duration = Duration::from_millis(20);

/// A module that faults on trial does so long before its trial is over.
const LONG_TRIAL: Duration = Duration::from_secs(60);
/// How long a roll-back may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reloads the same module so many times under two loads; and a tenth as often a
/// module that is refused, and one that faults on trial.
pub(crate) fn measure(bed: &Bed, lab: &Lab, lun: &Lun, reloads: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for (depth, index) in [(1, 3), (32, 5)] {
        let what = |what: &str| format!("{what}, QD{depth}");
        // One reload can follow another at once.
        let short_trial = Duration::from_millis(1);
        let mut under = Under::start(bed, lab, lun, index, depth, short_trial);
        let quiet = under.repeat(reloads, |_| std::thread::sleep(AFTER));
        let mut handed_over = 0;
        let good = under.repeat(reloads, |under| {
            let done = under.reload(&bed.iscsi).expect("the same module again");
            handed_over += usize::from(done.handed_over);
        });
        let refused = under.repeat(reloads / 10, |under| {
            let outcome = under.reload(&bed.ramdisk);
            assert!(outcome.is_err(), "a disk in memory took the target's place");
        });
        drop(under);
        let mut under = Under::start(bed, lab, lun, index + 1, depth, LONG_TRIAL);
        let taken_back = under.repeat(reloads / 10, |under| {
            under.reload(&bed.iscsi).expect("the same module again");
            under.running.vcp.inject(Injection::Trap);
            under.wait_for_roll_back();
        });
        rows.push(quiet.row(&what("longest pause without a reload")));
        let name = format!("longest pause at a reload ({handed_over} handed over)");
        let good = good.row(&what(&name));
        rows.push(if depth == 1 {
            good.want(Want::AtMost(1.0))
        } else {
            good
        });
        rows.push(refused.row(&what("longest pause at a reload that is refused")));
        rows.push(taken_back.row(&what("longest pause at a reload taken back")));
    }
    rows
}

/// A VCP under load.
struct Under {
    running: Running,
    completions: Receiver<Completion>,
}

#[derive(Default)]
struct Pauses {
    longest: Vec<f64>,
    errors: u64,
}

impl Pauses {
    fn row(self, what: &str) -> Row {
        Row::new(what, "ms", self.longest).errors(self.errors)
    }
}

impl Under {
    fn start(bed: &Bed, lab: &Lab, lun: &Lun, index: u8, depth: usize, trial: Duration) -> Self {
        let mut settings = initiator(bed, lab, lun, index);
        settings.reload.probation = trial;
        let running = bed.start(settings);
        let load = Load {
            depth,
            block: 4096,
            span: lun.size,
            writes: true,
        };
        let completions = attach(&running.vcp, load);
        Self {
            running,
            completions,
        }
    }

    /// The module before is back, and serves.
    fn wait_for_roll_back(&mut self) {
        let began = Instant::now();
        let mut back = false;
        loop {
            match self.running.events.try_recv() {
                Ok(Event::RolledBack(_)) => back = true,
                Ok(Event::Ready(_)) if back => return,
                Ok(Event::Failed(why)) => panic!("a reload that was taken back: {why}"),
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_micros(200)),
            }
            assert!(began.elapsed() < PATIENCE, "no roll-back");
        }
    }

    fn reload(&self, module: &Module) -> Result<Reloaded, ReloadError> {
        let outcome = self.running.vcp.reload(module.clone());
        outcome.blocking_recv().expect("the VCP runs")
    }

    /// Does something several times; the longest time without an answer around
    /// each.
    fn repeat(&mut self, times: usize, mut act: impl FnMut(&mut Self)) -> Pauses {
        let mut pauses = Pauses::default();
        for _ in 0..times {
            std::thread::sleep(AFTER);
            let mut last = Instant::now();
            while let Ok(completion) = self.completions.try_recv() {
                pauses.errors += u64::from(completion.status != Status::Ok);
                last = completion.at;
            }
            act(self);
            std::thread::sleep(AFTER);
            let mut longest = Duration::ZERO;
            while let Ok(completion) = self.completions.try_recv() {
                pauses.errors += u64::from(completion.status != Status::Ok);
                longest = longest.max(completion.at.saturating_duration_since(last));
                last = completion.at;
            }
            longest = longest.max(last.elapsed().saturating_sub(AFTER));
            pauses.longest.push(longest.as_secs_f64() * 1e3);
        }
        pauses
    }
}
