//! Runs every input of the committed corpus once, without libFuzzer: what was found once stays
//! fixed, and a change in the format of the inputs is noticed.

use std::path::Path;

use vcp_fuzz::TARGETS;

#[test]
fn all_inputs_pass() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, run) in TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.join(target)).expect(target) {
            let path = entry.expect(target).path();
            // What a run here has found since has no extension.
            if path.extension().is_none() {
                continue;
            }
            println!("{}", path.display());
            run(&std::fs::read(&path).expect(target));
            inputs += 1;
        }
        assert!(inputs > 0, "{target} has no corpus");
    }
}

#[test]
fn every_target_is_here() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut names: Vec<_> = std::fs::read_dir(targets)
        .expect("the targets")
        .map(|entry| entry.expect("a target").path().with_extension(""))
        .map(|path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert!(names.iter().eq(TARGETS.iter().map(|(name, _)| *name)));
}
