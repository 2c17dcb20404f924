//! Giving out the CPUs of recorded machines.

use std::sync::LazyLock;

use proptest::prelude::*;
use tempfile::TempDir;
use vcp_topology::{CpuSet, Pin, PlaceError, Placement, Placer, Topology};

use machines::{set, tree, with};

mod machines;

fn placer(name: &str, more: &str, allowed: &str) -> Placer {
    Placer::new(with(name, more, allowed).unwrap())
}

fn all_of(name: &str) -> Placer {
    placer(name, "", "0-8191")
}

/// Gives a VCP a core of its own, and returns its CPU.
fn core(placer: &mut Placer, name: &str) -> usize {
    let placement = placer.place(name, &Pin::Core).unwrap();
    assert!(placement.exclusive);
    assert_eq!(placement.cpus.len(), 1);
    placement.cpus[0]
}

fn refused(placer: &mut Placer, pin: &Pin) -> String {
    let error = placer.place("new", pin).unwrap_err().to_string();
    assert!(!error.contains('\n'));
    error
}

#[test]
fn numbers() {
    let mut placer = placer("desktop-8-cores-smt", "", "0-9");
    let placement = placer.place("a", &Pin::Cpus(vec![9, 1, 9])).unwrap();
    let expected = Placement {
        cpus: vec![1, 9],
        exclusive: false,
        node: Some(0),
    };
    assert_eq!(placement, expected);
    // Several VCPs may be on one CPU.
    assert_eq!(placer.place("b", &Pin::Cpus(vec![1])).unwrap().cpus, [1]);
    let error = refused(&mut placer, &Pin::Cpus(vec![1, 16]));
    assert_eq!(error, "CPU 16 is not online; online: 0-15");
    let error = refused(&mut placer, &Pin::Cpus(vec![u32::MAX]));
    assert!(error.starts_with("CPU 4294967295 is not online"), "{error}");
    let error = refused(&mut placer, &Pin::Cpus(vec![10]));
    assert!(
        error.contains("CPU 10") && error.ends_with("allowed: 0-9"),
        "{error}"
    );
    assert_eq!(refused(&mut placer, &Pin::Cpus(vec![])), "pin names no CPU");
}

#[test]
fn any_leaves_the_cores_of_others_alone() {
    let mut placer = all_of("desktop-8-cores-smt");
    assert_eq!(placer.place("any", &Pin::Any).unwrap().cpus.len(), 16);
    assert_eq!(core(&mut placer, "own"), 1);
    let moved = placer.placement("any").unwrap();
    assert_eq!(moved.cpus, set("0,2-8,10-15").iter().collect::<Vec<_>>());
    placer.release("own");
    assert_eq!(placer.placement("any").unwrap().cpus.len(), 16);
    assert_eq!(placer.placement("own"), None);
}

#[test]
fn cores_and_their_siblings_are_not_shared() {
    let mut placer = all_of("desktop-8-cores-smt");
    placer.place("fixed", &Pin::Cpus(vec![9])).unwrap();
    assert_eq!(core(&mut placer, "a"), 2);
    assert_eq!(core(&mut placer, "b"), 3);
    let error = refused(&mut placer, &Pin::Cpus(vec![11]));
    assert_eq!(
        error,
        "CPU 11 is in a core that \"b\" has to itself (pin = \"core\")"
    );
    // A VCP that wants the sibling explicitly gets it, though.
    let sibling = placer.place("with-b", &Pin::SiblingOf(3)).unwrap();
    assert_eq!((sibling.cpus, sibling.exclusive), (vec![11], false));
    // Then no VCP can have that core alone, not even when b is gone.
    placer.release("b");
    let rest: Vec<_> = (0..5)
        .map(|n| core(&mut placer, &format!("c{n}")))
        .collect();
    assert_eq!(rest, [4, 5, 6, 7, 8]);
    let error = refused(&mut placer, &Pin::Core);
    assert!(
        error.contains("8 cores") && error.contains("\"with-b\" has CPUs 11"),
        "{error}"
    );
}

#[test]
fn cpu_0_comes_last() {
    let mut vm = all_of("vm-2-cores");
    assert_eq!(core(&mut vm, "a"), 1);
    assert_eq!(core(&mut vm, "b"), 0);
    assert_eq!(
        refused(&mut vm, &Pin::Core),
        "no core is left to give \"new\" alone: this process may use 2 cores; in use: \"a\" has the \
         core of CPUs 1, \"b\" has the core of CPUs 0"
    );
    let error = refused(&mut vm, &Pin::Any);
    assert!(error.starts_with("all of CPUs 0-1 are in cores"), "{error}");
}

#[test]
fn nobody_is_left_without_a_cpu() {
    let mut vm = all_of("vm-2-cores");
    vm.place("any", &Pin::Any).unwrap();
    assert_eq!(core(&mut vm, "a"), 1);
    let error = refused(&mut vm, &Pin::Core);
    assert!(error.contains("\"any\" needs one of CPUs 0-1"), "{error}");
    assert_eq!(vm.placement("any").unwrap().cpus, [0]);
}

#[test]
fn the_node_with_more_room_and_whole_cores_first() {
    let mut server = all_of("server-2-packages-smt");
    // Node 0 has one core less to give: CPU 0's counts, but comes last.
    let given: Vec<_> = (0..20).map(|n| core(&mut server, &n.to_string())).collect();
    let odd = given.iter().filter(|&&cpu| cpu % 2 == 1).count();
    assert_eq!((odd, given.last()), (10, Some(&20)));
    let first: usize = given[..10].iter().filter(|&&cpu| cpu % 2 == 1).count();
    assert_eq!(first, 5, "{given:?}");
    // Only one thread of CPU 2's core may be used.
    let mut part = placer("server-2-packages-smt", "", "2,4,24");
    assert_eq!(core(&mut part, "a"), 4);
    assert_eq!(core(&mut part, "b"), 2);
}

#[test]
fn quiet_and_fast_cores_first() {
    let mut hybrid = all_of("hybrid-8p-4e");
    let given: Vec<_> = (0..12).map(|n| core(&mut hybrid, &n.to_string())).collect();
    assert_eq!(given, [2, 4, 6, 8, 10, 12, 14, 16, 17, 18, 19, 1]);
    let quiet = "devices/system/cpu/isolated: 5,13";
    let mut desktop = placer("desktop-8-cores-smt", quiet, "0-15");
    assert_eq!(core(&mut desktop, "a"), 5);
    assert_eq!(core(&mut desktop, "b"), 1);
}

#[test]
fn siblings() {
    let mut desktop = placer("desktop-8-cores-smt", "", "8-15");
    // The client's CPU needn't be one this process may use.
    let sibling = desktop.place("a", &Pin::SiblingOf(2)).unwrap();
    assert_eq!(sibling.cpus, [10]);
    let error = refused(&mut desktop, &Pin::SiblingOf(10));
    assert!(
        error.starts_with("the SMT sibling of CPU 10 is CPU 2"),
        "{error}"
    );
    let mut vm = all_of("vm-2-cores");
    assert_eq!(
        refused(&mut vm, &Pin::SiblingOf(1)),
        "CPU 1 has no SMT sibling: each core here has one hardware thread online"
    );
    assert_eq!(
        refused(&mut vm, &Pin::SiblingOf(7)),
        "CPU 7 is not online; online: 0-1"
    );
    let error = refused(&mut all_of("hybrid-8p-4e"), &Pin::SiblingOf(16));
    assert!(
        error.ends_with("others of this machine have more"),
        "{error}"
    );
    // With four threads in a core, they are given out one after the other.
    let smt4 = "devices/system/cpu/cpu[0-3]/topology/core_cpus_list: 0-3";
    let mut smt4 = placer("vm-hidden", smt4, "0-3");
    let mut next = |name| smt4.place(name, &Pin::SiblingOf(1)).unwrap().cpus;
    assert_eq!(
        [next("a"), next("b"), next("c"), next("d")],
        [[0], [2], [3], [0]]
    );
}

#[test]
fn nodes() {
    let mut server = placer("server-2-packages-smt", "", "0-4");
    let node = server.place("a", &Pin::Numa(1)).unwrap();
    assert_eq!((node.cpus, node.node), (vec![1, 3], Some(1)));
    let any = server.place("b", &Pin::Any).unwrap();
    assert_eq!((any.cpus.len(), any.node), (5, None));
    let error = refused(&mut server, &Pin::Numa(2));
    assert_eq!(error, "there is no NUMA node 2; nodes: 0-1");
    let memory = "devices/system/node/node7/cpulist:";
    let mut server = placer("server-2-packages-smt", memory, "0,2");
    let error = refused(&mut server, &Pin::Numa(7));
    assert!(error.contains("it has memory only"), "{error}");
    let error = refused(&mut server, &Pin::Numa(1));
    assert!(
        error.contains("CPUs 1,3,5") && error.ends_with("allowed: 0,2"),
        "{error}"
    );
}

#[test]
fn a_failure_changes_nothing() {
    let mut vm = all_of("vm-2-cores");
    core(&mut vm, "a");
    assert!(vm.place("a", &Pin::Cpus(vec![5])).is_err());
    assert_eq!(vm.placement("a").unwrap().cpus, [1]);
    // Placing again counts nothing twice.
    assert_eq!(core(&mut vm, "a"), 1);
    assert_eq!(vm.placements().count(), 1);
    let (own, bad) = (Pin::Core, Pin::Cpus(vec![9]));
    let (name, error) = vm.place_all(&[("b", &own), ("c", &bad)]).unwrap_err();
    assert_eq!(name, "c");
    assert!(matches!(error, PlaceError::NotOnline { cpu: 9, .. }));
    assert_eq!(vm.placements().count(), 1);
}

#[test]
fn the_order_of_the_file_does_not_matter() {
    let (any, own, fixed) = (Pin::Any, Pin::Core, Pin::Cpus(vec![1]));
    let mut vm = all_of("vm-2-cores");
    let placed = vm.place_all(&[("any", &any), ("own", &own), ("fixed", &fixed)]);
    let cpus: Vec<_> = placed.unwrap().into_iter().map(|p| p.cpus).collect();
    assert_eq!(cpus, [[1], [0], [1]]);
    let mut hidden = all_of("vm-hidden");
    let placed = hidden.place_all(&[("any", &any), ("own", &own), ("fixed", &fixed)]);
    let cpus: Vec<_> = placed.unwrap().into_iter().map(|p| p.cpus).collect();
    assert_eq!(cpus, [vec![0, 1, 3], vec![2], vec![1]]);
}

fn pins() -> impl Strategy<Value = Pin> {
    prop_oneof![
        Just(Pin::Any),
        Just(Pin::Core),
        proptest::collection::vec(0u32..24, 0..3).prop_map(Pin::Cpus),
        (0u32..24).prop_map(Pin::SiblingOf),
        (0u32..3).prop_map(Pin::Numa),
    ]
}

/// Checks what holds after any sequence of places and releases: every VCP has a CPU that may
/// be used, and on the core of one that has it alone are only those that asked for its
/// sibling.
fn holds(placer: &Placer, pins: &[(String, Pin)]) {
    let topology = placer.topology();
    for (name, place) in placer.placements() {
        assert!(!place.cpus.is_empty());
        assert!(
            place
                .cpus
                .iter()
                .all(|&cpu| topology.allowed().contains(cpu))
        );
        if !place.exclusive {
            continue;
        }
        let core = &topology.core_of(place.cpus[0]).unwrap().cpus;
        for (other, beside) in placer.placements().filter(|(other, _)| *other != name) {
            let pin = pins.iter().rev().find(|(name, _)| name == other);
            let explicit = matches!(pin, Some((_, Pin::SiblingOf(_))));
            assert!(
                explicit || beside.cpus.iter().all(|&cpu| !core.contains(cpu)),
                "{other} is on the core of {name}"
            );
        }
    }
}

/// Unpacked once for all cases.
static HYBRID: LazyLock<TempDir> = LazyLock::new(|| tree("hybrid-8p-4e", ""));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_core_of_its_own_is_its_own(
        steps in proptest::collection::vec((0u8..8, proptest::option::of(pins())), 1..30),
        allowed in proptest::collection::btree_set(0usize..20, 1..20),
    ) {
        let allowed: CpuSet = allowed.into_iter().collect();
        let mut placer = Placer::new(Topology::read(HYBRID.path(), &allowed).unwrap());
        let mut done = Vec::new();
        for (vcp, pin) in steps {
            let name = format!("v{vcp}");
            match pin {
                Some(pin) => {
                    let before: Vec<_> = placer.placements().map(|(n, p)| (n.to_owned(), p)).collect();
                    match placer.place(&name, &pin) {
                        Ok(placement) => {
                            done.push((name.clone(), pin));
                            prop_assert_eq!(placer.placement(&name), Some(placement));
                        }
                        Err(_) => {
                            let after: Vec<_> = placer.placements().map(|(n, p)| (n.to_owned(), p)).collect();
                            prop_assert_eq!(before, after);
                        }
                    }
                }
                None => placer.release(&name),
            }
            holds(&placer, &done);
        }
    }
}
