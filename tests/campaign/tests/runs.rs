//! A few runs of each kind, and what becomes of workers that die.

use std::path::PathBuf;
use std::process::Command;

use vcp_campaign::drive::mutants::Mutants;
use vcp_campaign::drive::{Subject, Verdict, World, strict};
use vcp_campaign::process::{Job, Kind, campaign};

#[test]
fn mutants_cuts_and_bad_links_leave_a_device_that_serves() {
    let mut mutants = Mutants::new(World::new().unwrap());
    for subject in Subject::ALL {
        for seed in 0..3 {
            let outcome = mutants.run(subject, seed).unwrap();
            assert_eq!(outcome.failures, Vec::<String>::new(), "{outcome:?}");
            assert!(outcome.answered > 0, "{outcome:?}");
        }
        let outcome = strict::cuts(mutants.world(), subject, 1).unwrap();
        assert_eq!(outcome.failures, Vec::<String>::new(), "{outcome:?}");
        assert!(outcome.deaths >= strict::POINTS_PER_RUN / 4, "{outcome:?}");
        assert_eq!(outcome.verdict, Verdict::Died);
        let outcome = strict::crossings(mutants.world(), subject, 0).unwrap();
        assert_eq!(outcome.failures, Vec::<String>::new(), "{outcome:?}");
        assert_eq!(outcome.deaths, 2 * strict::POINTS_PER_RUN);
    }
    let outcome = strict::link(mutants.world(), 1).unwrap();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{outcome:?}");
}

/// A worker that does what the script says. Another process writes it: what this one
/// has open for writing may be open still in a child of another test when it is to be
/// executed.
fn worker(name: &str, script: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("vcp-campaign-{name}-{}", std::process::id()));
    let write = Command::new("/bin/sh")
        .arg("-c")
        .arg("printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod 700 \"$0\"")
        .arg(&path)
        .arg(script)
        .status();
    assert!(write.unwrap().success());
    path
}

#[test]
fn a_worker_that_dies_is_a_finding_and_the_rest_goes_on() {
    let jobs: Vec<Job> = (0..5)
        .map(|seed| Job {
            kind: Kind::Mutant,
            subject: Subject::Ramdisk,
            seed,
        })
        .collect();
    let path = worker("dies", "echo ready; read job; exit 3");
    let results = campaign(&path, jobs.clone(), 2, &|_| {}).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(results.outcomes.is_empty());
    let mut found: Vec<String> = results.troubles.iter().map(|t| t.job.clone()).collect();
    found.sort();
    let expected: Vec<String> = jobs.iter().map(Job::to_string).collect();
    assert_eq!(found, expected);
    assert!(results.troubles[0].what.contains("exit status: 3"));
    assert_eq!(expected[4].parse(), Ok(jobs[4]));
}

#[test]
fn a_worker_that_never_starts_ends_the_campaign() {
    let path = worker("mute", "exit 1");
    let job = Job {
        kind: Kind::Cut,
        subject: Subject::Iscsi,
        seed: 7,
    };
    let outcome = campaign(&path, vec![job], 1, &|_| {});
    std::fs::remove_file(&path).unwrap();
    assert!(outcome.is_err());
}
