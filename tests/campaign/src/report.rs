//! The table of outcomes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::drive::strict::POINTS_PER_RUN;
use crate::drive::{Outcome, Subject, Verdict};
use crate::mutate::Class;
use crate::process::Results;

/// What the report says of how it was made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The command to repeat it.
    pub command: String,
    /// How long it took.
    pub took: Duration,
    /// With how many processes.
    pub workers: usize,
}

/// What a campaign showed.
pub struct Report<'a> {
    results: &'a Results,
    mutants: Vec<&'a Outcome>,
    cuts: Vec<&'a Outcome>,
    crossings: Vec<&'a Outcome>,
    links: Vec<&'a Outcome>,
}

impl<'a> Report<'a> {
    /// Of these results.
    pub fn of(results: &'a Results) -> Self {
        let of = |kinds: &[&str]| {
            let wanted = |o: &&Outcome| kinds.contains(&o.kind.as_str());
            results.outcomes.iter().filter(wanted).collect::<Vec<_>>()
        };
        Self {
            results,
            mutants: of(&["reload", "start"]),
            cuts: of(&["cut"]),
            crossings: of(&["crossing"]),
            links: of(&["link"]),
        }
    }

    /// Whether no host died or hung, and every device served again with all it
    /// should hold.
    pub fn passed(&self) -> bool {
        let clean = |o: &Outcome| o.failures.is_empty();
        self.results.troubles.is_empty() && self.results.outcomes.iter().all(clean)
    }

    /// As a page of the book.
    pub fn markdown(&self, plan: &Plan) -> String {
        let mut page = String::new();
        self.write(&mut page, plan)
            .expect("a string takes whatever is written");
        page
    }

    fn write(&self, page: &mut String, plan: &Plan) -> std::fmt::Result {
        writeln!(page, "# The fault campaign\n")?;
        writeln!(page, "{INTRODUCTION}")?;
        writeln!(
            page,
            "Made by `{}` in {:.0} minutes with {} processes at a time. \
             `--only SEED` runs the mutant of one seed again and shows what it did.\n",
            plan.command,
            (plan.took.as_secs_f64() / 60.0).ceil(),
            plan.workers
        )?;
        self.summary(page)?;
        self.verdicts(page)?;
        self.faults(page)?;
        self.classes(page)?;
        self.strict(page)?;
        self.times(page)?;
        self.failures(page)
    }

    fn summary(&self, page: &mut String) -> std::fmt::Result {
        let served = |o: &&&Outcome| !o.failures.iter().any(|f| f.contains("not serving"));
        let mutants = self.mutants.len();
        let serving = self.mutants.iter().filter(served).count();
        let neighbour = |o: &&Outcome| o.failures.iter().any(|f| f.contains("neighbour"));
        let unharmed = !self.results.outcomes.iter().any(|o| neighbour(&o));
        let deaths: u64 = self.results.outcomes.iter().map(|o| o.deaths).sum();
        let answered: u64 = self.results.outcomes.iter().map(|o| o.answered).sum();
        let failed = self
            .results
            .outcomes
            .iter()
            .filter(|o| !o.failures.is_empty());
        writeln!(page, "## In short\n")?;
        writeln!(page, "| | |\n|---|---|")?;
        writeln!(page, "| mutants run | {mutants} |")?;
        writeln!(
            page,
            "| of them loaded into a device that served, and started with | {}, {} |",
            self.count("reload"),
            self.count("start")
        )?;
        writeln!(
            page,
            "| host processes that crashed or hung | {} |",
            self.results.troubles.len()
        )?;
        writeln!(
            page,
            "| devices serving again with the good module | {serving} of {mutants} |"
        )?;
        writeln!(
            page,
            "| runs with anything wrong that the mutant did not do itself | {} |",
            failed.count()
        )?;
        writeln!(
            page,
            "| the other VCP in the same process noticed | {} |",
            if unharmed { "nothing" } else { "something" }
        )?;
        writeln!(page, "| instances that died | {deaths} |")?;
        writeln!(page, "| requests answered as asked | {answered} |")?;
        let renewed = self.mutants.iter().filter(|o| o.renewed).count();
        writeln!(
            page,
            "| VCPs started with a mutant that told clients a wrong size, and so started anew | \
             {renewed} |"
        )?;
        let memory = self.growth(|o| o.memory);
        let descriptors = self.growth(|o| o.descriptors);
        writeln!(
            page,
            "| resident memory of a worker, median of the first and the last tenth of runs | \
             {} and {} MiB |",
            memory.0 / 1024,
            memory.1 / 1024
        )?;
        writeln!(
            page,
            "| open descriptors, likewise | {} and {} |\n",
            descriptors.0, descriptors.1
        )
    }

    fn count(&self, kind: &str) -> usize {
        self.mutants.iter().filter(|o| o.kind == kind).count()
    }

    /// Medians at the start and at the end.
    fn growth(&self, of: impl Fn(&Outcome) -> u64) -> (u64, u64) {
        let tenth = (self.mutants.len() / 10).max(1).min(self.mutants.len());
        let part = |part: &[&Outcome]| median(part.iter().map(|o| of(o)).collect());
        let late = self.mutants.len() - tenth;
        (part(&self.mutants[..tenth]), part(&self.mutants[late..]))
    }

    fn verdicts(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## What the mutants did\n")?;
        writeln!(page, "Each is counted once, by the worst that it did.\n")?;
        writeln!(page, "| the mutant | iscsi | ramdisk |\n|---|---:|---:|")?;
        for verdict in Verdict::ALL {
            let count = |subject: Subject| {
                let same = |o: &&&Outcome| o.verdict == verdict && o.module == subject.name();
                self.mutants.iter().filter(same).count()
            };
            let (iscsi, ramdisk) = (count(Subject::Iscsi), count(Subject::Ramdisk));
            writeln!(page, "| {} | {iscsi} | {ramdisk} |", verdict.describe())?;
        }
        let sum = |of: fn(&Outcome) -> u64| self.mutants.iter().map(|o| of(o)).sum::<u64>();
        writeln!(
            page,
            "\nWrong data: {} blocks of 512 bytes that nobody had asked for reached the target's \
             disk, {} that were acknowledged did not, {} reads were answered with wrong data; all \
             while a mutant was in charge.",
            sum(|o| o.wrong_blocks),
            sum(|o| o.lost_blocks),
            sum(|o| o.wrong_reads)
        )?;
        let tried: Vec<bool> = self.mutants.iter().filter_map(|o| o.reached).collect();
        if !tried.is_empty() {
            let reached = tried.iter().filter(|reached| **reached).count();
            writeln!(
                page,
                "\nOf the mutants without effect {} were tried again with a trap in place of the \
                 change: the load reached {reached} of them. The others changed code that did not \
                 run.",
                tried.len()
            )?;
        }
        let rolled = self.mutants.iter().filter(|o| o.rolled_back).count();
        let inherited = self.mutants.iter().filter(|o| o.inherited).count();
        writeln!(
            page,
            "\n{inherited} mutants took over the state of the module before them; after {rolled} \
             the host brought back the module before by itself.\n"
        )
    }

    fn faults(&self, page: &mut String) -> std::fmt::Result {
        let mut kinds: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for outcome in &self.mutants {
            let column = usize::from(outcome.module != Subject::Iscsi.name());
            for fault in &outcome.faults {
                kinds.entry(fault).or_default()[column] += 1;
            }
        }
        writeln!(page, "## What they died of\n")?;
        writeln!(page, "Mutants with at least one fault of that kind.\n")?;
        writeln!(page, "| fault | iscsi | ramdisk |\n|---|---:|---:|")?;
        for (kind, [iscsi, ramdisk]) in kinds {
            writeln!(page, "| {kind} | {iscsi} | {ramdisk} |")?;
        }
        writeln!(page)
    }

    fn classes(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "## By class of mutation\n")?;
        writeln!(
            page,
            "| class | mutants | no effect | refused | stalled | died | errors | wrong read | \
             lost write | wrong write |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for class in Class::ALL {
            let name = class.to_string();
            let these = self.mutants.iter().filter(|o| o.class == name);
            let these: Vec<_> = these.collect();
            write!(page, "| {name} | {} |", these.len())?;
            for verdict in Verdict::ALL {
                let count = these.iter().filter(|o| o.verdict == verdict).count();
                write!(page, " {count} |")?;
            }
            writeln!(page)?;
        }
        writeln!(page)
    }

    fn strict(&self, page: &mut String) -> std::fmt::Result {
        let line = |page: &mut String, what: &str, runs: &[&Outcome]| {
            let deaths: u64 = runs.iter().map(|o| o.deaths).sum();
            let answered: u64 = runs.iter().map(|o| o.answered).sum();
            let failed = runs.iter().filter(|o| !o.failures.is_empty()).count();
            let runs = runs.len();
            writeln!(
                page,
                "| {what} | {runs} | {deaths} | {answered} | {failed} |"
            )
        };
        writeln!(page, "## Good modules, cut off and on bad links\n")?;
        writeln!(page, "{STRICT}")?;
        writeln!(
            page,
            "| | runs | instances that died | requests answered | runs with an error or wrong \
             data |\n|---|---:|---:|---:|---:|"
        )?;
        line(page, "crash points in calls and between them", &self.cuts)?;
        let points = POINTS_PER_RUN * self.crossings.len() as u64 / 2;
        let what = format!("crash points at each of the first {points} crossings of the boundary");
        line(page, &what, &self.crossings)?;
        line(
            page,
            "frames lost, repeated, swapped, spoilt, late",
            &self.links,
        )?;
        writeln!(page)
    }

    fn times(&self, page: &mut String) -> std::fmt::Result {
        let column = |of: fn(&Outcome) -> u64| {
            let mut times: Vec<u64> = self.mutants.iter().map(|o| of(o)).collect();
            times.sort_unstable();
            let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(0);
            format!("{:.1} | {:.1}", at(50) as f64 / 1e3, at(99) as f64 / 1e3)
        };
        writeln!(page, "## Where the time goes\n")?;
        writeln!(page, "Milliseconds for each mutant.\n")?;
        writeln!(page, "| part | median | 99th percentile |\n|---|---:|---:|")?;
        writeln!(page, "| making it | {} |", column(|o| o.times.mutate))?;
        writeln!(page, "| compiling it | {} |", column(|o| o.times.compile))?;
        writeln!(page, "| having it serve | {} |", column(|o| o.times.expose))?;
        writeln!(
            page,
            "| bringing the good module back | {} |",
            column(|o| o.times.back)
        )?;
        writeln!(
            page,
            "| reading back and comparing | {} |\n",
            column(|o| o.times.verify)
        )
    }

    fn failures(&self, page: &mut String) -> std::fmt::Result {
        if self.passed() {
            return Ok(());
        }
        writeln!(page, "## What should not have happened\n")?;
        for trouble in &self.results.troubles {
            writeln!(page, "- `{}`: {}", trouble.job, trouble.what)?;
        }
        let failed = self
            .results
            .outcomes
            .iter()
            .filter(|o| !o.failures.is_empty());
        for outcome in failed {
            let Outcome {
                kind, module, seed, ..
            } = outcome;
            writeln!(
                page,
                "- {kind} of {module}, seed {seed}: {}",
                outcome.failures.join("; ")
            )?;
        }
        Ok(())
    }
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

const INTRODUCTION: &str = "\
Modules whose code was changed at random are loaded into the real host, under
load. A *mutant* is a compiled module with one operator changed: another
arithmetic or comparison, another constant, a branch turned round, a store left
out, an index or an offset off by a little. What it then does is whatever a
broken program may do: trap, loop, overflow its stack, answer twice or never,
point outside its memory, write to the wrong place of the disk, or nothing.

Each run has a device under load (4 KiB to 256 KiB, reads, writes, flushes,
discards and write-zeroes, up to 32 at a time), puts the mutant in the place of
the good module or starts a VCP with it, leaves it alone for a moment, and puts
the good module back. An oracle on the host's side knows what was asked and
answered, so it knows what every block may hold; it compares every read, every
write that arrives at the iSCSI target's disk, and at the end all of that disk,
directly and through the good module. Wrong data is excused only where a mutant
wrote it, or acknowledged it, while it was in charge. A RAM disk dies with its
instance: there zeroes are right after a death, and whatever else was written is
not. Another VCP in the same process serves requests all the time and must notice
nothing. A state that a mutant hands over is the mutant's, so the good module is
started once more without it. Half of the devices let requests wait for 60 ms at most:
an error is excused where that was over, as it is when the machine is busy.
";

const STRICT: &str = "\
The same load and oracle with good modules only, so that nothing is excused: no
error, no wrong or lost data. *Crash points* end an instance after so many units
of fuel in a call, wherever in its code that is, and between calls; some twice in
a row, so that the second one hits the login. The boundary is *crossed* when control
passes between the host and an instance: into a call and out of it, into a host
function and out of it; an instance is ended at the first such crossing of its life,
another at the second, and so on, from its `init` through the login into the load.
*Bad links* lose, repeat, swap, spoil
and hold up frames in both directions.
";
