//! Reports about recorded machines. Every recommended `pin` is tried.

use vcp_topology::doctor::{Capabilities, report};
use vcp_topology::{Pin, Placer, Topology};

use machines::with;

mod machines;

/// The report for a process that may do anything.
fn text(topology: &Topology) -> String {
    let capabilities = Capabilities {
        real_time: Ok(()),
        tun: Ok(()),
        net_admin: true,
        net_raw: true,
        cgroups: Vec::new(),
        slow_governors: Vec::new(),
    };
    let text = report(topology, &capabilities);
    assert!(text.lines().all(|line| line.len() <= 110), "{text}");
    for pin in recommended(&text) {
        let placed = Placer::new(topology.clone()).place("vcp", &pin);
        assert!(placed.is_ok(), "{pin:?}: {placed:?}\n{text}");
    }
    text
}

/// All `pin = …` of the text.
fn recommended(text: &str) -> Vec<Pin> {
    let pins = text.split("pin = ").skip(1);
    let value = |rest: &str| rest.split([' ', ',']).next().unwrap().to_owned();
    pins.map(|rest| match value(rest).trim_matches(['"', '[', ']']) {
        "core" => Pin::Core,
        other => match other.split_once(':') {
            Some(("sibling-of", cpu)) => Pin::SiblingOf(cpu.parse().unwrap()),
            Some(("numa", node)) => Pin::Numa(node.parse().unwrap()),
            _ => Pin::Cpus(vec![other.parse().unwrap()]),
        },
    })
    .collect()
}

fn about(name: &str, more: &str, allowed: &str) -> String {
    text(&with(name, more, allowed).unwrap())
}

#[test]
fn vm_of_two_cores() {
    let text = about("vm-2-cores", "", "0-1");
    let map = "2 CPUs online in 2 cores, 1 package, 1 NUMA node; no SMT (one hardware thread a core)\n\n\
               node  package  core  CPUs  level 3 with  may use\n\
               0     0        0     0     all           yes\n\
               0     0        1     1     all           yes\n";
    assert!(text.starts_with(map), "{text}");
    assert_eq!(recommended(&text), [Pin::Cpus(vec![1]), Pin::Cpus(vec![1])]);
    assert!(
        text.contains("CPU 0 to the kernel") && text.contains("share = "),
        "{text}"
    );
}

#[test]
fn one_cpu() {
    let text = about("vm-2-cores", "", "1");
    assert_eq!(recommended(&text), []);
    assert!(
        text.contains("share = \"50%\"") && text.contains("all           no\n"),
        "{text}"
    );
}

#[test]
fn desktop_with_smt() {
    let text = about("desktop-8-cores-smt", "", "0-15");
    let expected = [Pin::Cpus(vec![1]), Pin::Core, Pin::SiblingOf(1)];
    assert_eq!(recommended(&text), expected);
    assert!(
        text.contains("client on CPU 1 ") && text.contains("VCP on CPU 9"),
        "{text}"
    );
    assert!(text.contains("not been measured"), "{text}");
    assert!(
        text.contains("0     0        7     7,15  all           yes\n"),
        "{text}"
    );
}

#[test]
fn cpus_set_aside() {
    let more = "devices/system/cpu/isolated: 6-7,14-15\ndevices/system/cpu/nohz_full: 7,15";
    let text = about("desktop-8-cores-smt", more, "0-15");
    assert_eq!(recommended(&text)[0], Pin::Cpus(vec![6]));
    assert!(text.contains("CPUs 6-7,14-15 were set aside"), "{text}");
    assert!(text.contains("yes, isolated, nohz_full\n"), "{text}");
    // If they are out of reach, they are of no use.
    let text = about("desktop-8-cores-smt", more, "0-5");
    assert!(!text.contains("set aside"), "{text}");
}

#[test]
fn big_machines_have_a_short_map() {
    for (name, rows) in [("arm-80-cores", 1), ("server-2-packages-smt", 2)] {
        let text = about(name, "", "0-79");
        let map = text.lines().skip(3).take_while(|line| !line.is_empty());
        assert_eq!(map.count(), rows, "{text}");
    }
    let text = about("arm-80-cores", "", "0-9,40-79");
    assert!(
        text.contains("0..79 (50)") && text.contains("10..39 (30)"),
        "{text}"
    );
    let text = about("server-2-packages-smt", "", "0-39");
    assert!(recommended(&text).contains(&Pin::Numa(0)), "{text}");
    assert!(text.contains("numa_node"), "{text}");
    let row = "1     1        0..12 (10)  1,3..39  its node      yes";
    assert!(text.contains(row), "{text}");
}

#[test]
fn hybrid() {
    let text = about("hybrid-8p-4e", "", "0-19");
    assert!(text.contains("efficient (slower), one thread"), "{text}");
    assert!(text.contains("CPU 2 is in one of the fast cores"), "{text}");
    // Only slow cores can be had: nothing is called fast, and there are no siblings.
    let text = about("hybrid-8p-4e", "", "16-19");
    assert!(
        !text.contains("fast") && !text.contains("sibling"),
        "{text}"
    );
}

#[test]
fn oddities_are_shown() {
    let odd = "devices/system/cpu/cpu0/topology/core_cpus_list: x";
    let text = about("vm-2-cores", odd, "0-1");
    assert!(
        text.contains("Odd in /sys\n  devices/system/cpu/cpu0/"),
        "{text}"
    );
}
