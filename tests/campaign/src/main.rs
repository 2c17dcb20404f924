//! `vcp-campaign`: the fault campaign. `cargo xtask faults` builds and runs it.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use vcp_campaign::drive::reach::reached;
use vcp_campaign::drive::{Subject, World, strict};
use vcp_campaign::loads;
use vcp_campaign::process::{Job, Kind, Results, campaign, work};
use vcp_campaign::report::{Plan, Report};

#[derive(Parser)]
#[command(about = "Mutants of VCPs, cut calls and bad links, under load and with an oracle")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run a campaign.
    Run(Options),
    /// Print the names of all functions that run under load: for
    /// `src/mutate/reached.txt`, after the modules have changed much.
    Reach,
    /// Do the jobs that come on standard input; started by `run`.
    Worker,
    /// Load modules that are made up, for a while.
    Loads(Loads),
    /// Load those whose seeds come on standard input; started by `loads`.
    LoadWorker,
}

#[derive(Args)]
struct Loads {
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The first seed; the same seed makes the same module.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Load the modules of that seed only, and show what became of them.
    #[arg(long)]
    only: bool,
    /// The program `vcp-smith`, which makes up modules; otherwise there are only those made
    /// of the built-in ones.
    #[arg(long)]
    smith: Option<PathBuf>,
}

#[derive(Args)]
struct Options {
    /// How many mutants.
    #[arg(long, default_value_t = 10_000)]
    mutants: u64,
    /// The first seed; the same seed makes the same mutants.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Of which module.
    #[arg(long, value_enum, default_value_t = Which::Both)]
    module: Which,
    /// Run the mutant of one seed only, and show what became of it.
    #[arg(long)]
    only: Option<u64>,
    /// Runs with crash points; by default one for each hundred mutants.
    #[arg(long)]
    cuts: Option<u64>,
    /// How many times that control passes between the host and an instance, from its
    /// start on, are a crash point each; by default 200, or as many as mutants.
    #[arg(long)]
    crossings: Option<u64>,
    /// Runs over bad links; by default one for each five hundred mutants.
    #[arg(long)]
    links: Option<u64>,
    /// Processes at a time.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Write the report there, as Markdown.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write all outcomes there, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Iscsi,
    Ramdisk,
    Both,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().what {
        What::Run(options) => run(&options),
        What::Reach => reach().map(|()| true),
        What::Worker => work().map(|()| true),
        What::Loads(options) => load(&options),
        What::LoadWorker => loads::work().map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vcp-campaign: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn reach() -> Result<()> {
    let world = World::new()?;
    let mut names = BTreeSet::new();
    for subject in Subject::ALL {
        names.append(&mut reached(&world, subject)?);
    }
    for name in names {
        println!("{name}");
    }
    Ok(())
}

/// Whether nothing happened that should not.
fn load(options: &Loads) -> Result<bool> {
    let binary = std::env::current_exe().context("finding this program")?;
    let summary = loads::loads(loads::Plan {
        binary: &binary,
        smith: options.smith.as_deref(),
        seed: options.seed,
        time: Duration::from_secs(options.seconds),
        only: options.only,
    })?;
    println!("{summary}");
    Ok(summary.findings.is_empty())
}

/// Whether nothing happened that should not.
fn run(options: &Options) -> Result<bool> {
    // What the workers leave is for others.
    let _ = rustix::process::nice(10);
    let binary = std::env::current_exe().context("finding this program")?;
    let jobs = jobs(options);
    let all = jobs.len();
    let began = Instant::now();
    let show = std::io::stderr().is_terminal();
    let progress = |done: usize| {
        if show || done.is_multiple_of(500) {
            let left = began.elapsed().as_secs_f64() / done as f64 * (all - done) as f64;
            eprint!(
                "{}{done} of {all}, {left:.0} s left  ",
                if show { "\r" } else { "" }
            );
            eprint!("{}", if show && done < all { "" } else { "\n" });
            // A terminal that is gone shows nothing either way.
            let _ = std::io::stderr().flush();
        }
    };
    let mut results = campaign(&binary, jobs, options.workers.max(1), &progress)?;
    results.outcomes.sort_by_key(|o| (o.kind.clone(), o.seed));
    finish(options, &results, began.elapsed())
}

fn finish(options: &Options, results: &Results, took: Duration) -> Result<bool> {
    if options.only.is_some() {
        println!("{}", serde_json::to_string_pretty(results)?);
    }
    let plan = Plan {
        command: command(options),
        took,
        workers: options.workers,
    };
    let report = Report::of(results);
    let text = report.markdown(&plan);
    if let Some(path) = &options.report {
        std::fs::write(path, &text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.json {
        let json = serde_json::to_vec(results)?;
        std::fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    if options.only.is_none() {
        print!("{text}");
    }
    Ok(report.passed())
}

fn command(options: &Options) -> String {
    let mut line = format!("cargo xtask faults --mutants {}", options.mutants);
    if options.seed != 0 {
        line += &format!(" --seed {}", options.seed);
    }
    match options.module {
        Which::Both => {}
        Which::Iscsi => line += " --module iscsi",
        Which::Ramdisk => line += " --module ramdisk",
    }
    line
}

fn jobs(options: &Options) -> Vec<Job> {
    let subject = |seed: u64| match options.module {
        Which::Iscsi => Subject::Iscsi,
        Which::Ramdisk => Subject::Ramdisk,
        // Most of the code is the former's.
        Which::Both if seed % 4 == 3 => Subject::Ramdisk,
        Which::Both => Subject::Iscsi,
    };
    let job = |kind| {
        move |seed| Job {
            kind,
            subject: subject(seed),
            seed,
        }
    };
    if let Some(seed) = options.only {
        return vec![job(Kind::Mutant)(seed)];
    }
    let cuts = options.cuts.unwrap_or(options.mutants.div_ceil(100));
    let links = options.links.unwrap_or(options.mutants.div_ceil(500));
    let links = if options.module == Which::Ramdisk {
        0
    } else {
        links
    };
    let range = |count: u64| options.seed..options.seed + count;
    let link = |seed| Job {
        kind: Kind::Link,
        subject: Subject::Iscsi,
        seed,
    };
    let crossings = options.crossings.unwrap_or(options.mutants.min(200));
    // All of them for each module, whatever the seed.
    let crossing = Subject::ALL.into_iter().flat_map(|subject| {
        let chosen = match options.module {
            Which::Both => true,
            Which::Iscsi => subject == Subject::Iscsi,
            Which::Ramdisk => subject == Subject::Ramdisk,
        };
        let runs = crossings.div_ceil(strict::POINTS_PER_RUN);
        let runs = if chosen { runs } else { 0 };
        (0..runs).map(move |seed| Job {
            kind: Kind::Crossing,
            subject,
            seed,
        })
    });
    let strict = range(links)
        .map(link)
        .chain(crossing)
        .chain(range(cuts).map(job(Kind::Cut)));
    strict
        .chain(range(options.mutants).map(job(Kind::Mutant)))
        .collect()
}
