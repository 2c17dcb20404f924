//! Of the mutants of the modules that ship: valid, reproducible, one place each.

use super::*;

fn mutator(name: &str) -> Mutator {
    let module = vcp_builtin::find(name).unwrap();
    Mutator::new(strip(module.bytes).unwrap()).unwrap()
}

#[test]
fn what_is_stripped_is_smaller_valid_and_has_its_names() {
    let module = vcp_builtin::find("ramdisk").unwrap();
    let stripped = strip(module.bytes).unwrap();
    assert!(stripped.len() < module.bytes.len() / 5);
    Validator::new().validate_all(&stripped).unwrap();
    let code = Code::of(&stripped).unwrap();
    let named = |f: &&Function| f.name.contains("ramdisk");
    assert!(code.functions.iter().filter(named).count() > 0);
    let covered: usize = code.functions.iter().map(|f| f.operators.len()).sum();
    assert_eq!(covered, code.operators.len());
}

#[test]
fn every_class_makes_valid_mutants_that_differ_in_one_place() {
    let mutator = mutator("ramdisk");
    for class in Class::ALL {
        let mut random = Random::new(class as u64);
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let Mutant { bytes, change } = mutator.mutant_of(class, &mut random).unwrap();
            places.insert(change.offset);
            Validator::new().validate_all(&bytes).unwrap();
            let mut original = mutator.original().to_vec();
            let range = change.offset..change.offset + change.before.len();
            assert_eq!(original[range.clone()], change.before);
            assert_ne!(change.before, change.after);
            original[range].copy_from_slice(&change.after);
            assert!(original == bytes, "{change}");
        }
        assert!(places.len() > 1, "{class}: always {places:?}");
    }
}

#[test]
fn a_seed_makes_the_same_mutant_again_and_another_another() {
    let (first, second) = (mutator("iscsi"), mutator("iscsi"));
    let mut changes = std::collections::HashSet::new();
    for seed in 0..20 {
        let (a, b) = (first.mutant(seed).unwrap(), second.mutant(seed).unwrap());
        assert_eq!(a.change, b.change);
        assert!(a.bytes == b.bytes);
        changes.insert(a.change.to_string());
    }
    assert!(changes.len() > 15);
}

#[test]
fn a_probe_is_valid_wherever_a_mutation_is() {
    let mutator = mutator("ramdisk");
    for seed in 0..50 {
        let Mutant { change, .. } = mutator.mutant(seed).unwrap();
        let probe = mutator.probe(&change);
        Validator::new().validate_all(&probe).unwrap();
        assert_eq!(probe[change.offset], 0);
    }
}

#[test]
fn traps_at_the_beginning_of_every_function_are_valid() {
    let mutator = mutator("iscsi");
    let trapping = mutator.trapping(&BTreeSet::new());
    Validator::new().validate_all(&trapping).unwrap();
    let all = mutator.code().functions.iter();
    let all: BTreeSet<_> = all.map(|f| (f.module, f.index)).collect();
    assert!(mutator.trapping(&all) == mutator.original());
}

#[test]
fn the_list_of_functions_that_run_is_of_these_modules() {
    let mutators = [mutator("iscsi"), mutator("ramdisk")];
    let functions = mutators.iter().flat_map(|m| &m.code().functions);
    let names: HashSet<&str> = functions.map(|f| f.name.as_str()).collect();
    let listed = REACHED.lines().count();
    let known = REACHED.lines().filter(|name| names.contains(name)).count();
    assert!(
        known * 10 >= listed * 9,
        "only {known} of {listed} are left: run `vcp-campaign reach` again"
    );
}
