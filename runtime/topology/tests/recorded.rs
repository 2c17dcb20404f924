//! The reader on recorded machines.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;
use vcp_topology::{CoreKind, CpuSet, Topology};

use machines::{set, unpack, with};

mod machines;

/// A recorded machine, all of whose CPUs may be used; checks what holds for any.
fn machine(name: &str) -> Topology {
    let topology = with(name, "", "0-8191").unwrap();
    assert_eq!(topology.oddities(), [""; 0]);
    consistent(&topology);
    topology
}

fn consistent(topology: &Topology) {
    let mut seen = BTreeMap::new();
    for core in topology.cores() {
        assert!(!core.cpus.is_empty());
        for cpu in core.cpus.iter() {
            assert_eq!(seen.insert(cpu, ()), None, "CPU {cpu} is in two cores");
            assert_eq!(topology.core_of(cpu), Some(core));
            assert!(topology.node_of(cpu).is_some());
        }
    }
    assert_eq!(seen.keys().copied().collect::<CpuSet>(), *topology.online());
    assert!(!topology.allowed().is_empty());
    assert!(topology.allowed().without(topology.online()).is_empty());
}

fn nodes(topology: &Topology) -> Vec<(usize, String)> {
    let node = |(&node, cpus): (&usize, &CpuSet)| (node, cpus.to_string());
    topology.nodes().iter().map(node).collect()
}

#[test]
fn vm_of_two_cores() {
    let vm = machine("vm-2-cores");
    assert_eq!(vm.cores().len(), 2);
    assert!(!vm.has_smt() && !vm.is_hybrid());
    assert_eq!(vm.siblings(0), set(""));
    assert_eq!(vm.cores()[1].l3, Some(set("0-1")));
    assert_eq!(nodes(&vm), [(0, "0-1".to_owned())]);
}

#[test]
fn vm_that_hides_its_topology() {
    let vm = machine("vm-hidden");
    assert_eq!(vm.cores().len(), 4);
    assert_eq!((vm.packages(), vm.has_smt()), (1, false));
    assert_eq!(vm.cores()[3].id, 3);
    assert_eq!(vm.cores()[3].l3, None);
    assert_eq!(nodes(&vm), [(0, "0-3".to_owned())]);
}

#[test]
fn desktop_with_siblings_eight_apart() {
    let desktop = machine("desktop-8-cores-smt");
    assert_eq!(desktop.cores().len(), 8);
    assert_eq!(desktop.siblings(3), set("11"));
    assert_eq!(desktop.siblings(11), set("3"));
    assert_eq!(desktop.core_index(11), Some(3));
    assert_eq!(desktop.nohz_full(), &set(""));
    let governors: Vec<_> = desktop.governors().iter().collect();
    assert_eq!(governors, [(&"schedutil".to_owned(), &set("0-15"))]);
}

#[test]
fn server_numbered_across_its_packages() {
    let server = machine("server-2-packages-smt");
    assert_eq!((server.cores().len(), server.packages()), (20, 2));
    assert_eq!(server.nodes()[&0], (0..40).step_by(2).collect());
    assert_eq!(server.nodes()[&1], (1..40).step_by(2).collect());
    let core = server.core_of(33).unwrap();
    assert_eq!(core.cpus, set("13,33"));
    assert_eq!((core.package, core.node, core.die), (1, 1, None));
    // Core ids repeat in each package; cores are told apart all the same.
    assert_eq!(core.id, server.core_of(12).unwrap().id);
    assert_eq!(core.l3, Some(server.nodes()[&1].clone()));
}

#[test]
fn hybrid_with_smt_on_some_cores() {
    let hybrid = machine("hybrid-8p-4e");
    assert_eq!(hybrid.cores().len(), 12);
    assert!(hybrid.has_smt() && hybrid.is_hybrid());
    assert_eq!(hybrid.siblings(6), set("7"));
    assert_eq!(hybrid.siblings(17), set(""));
    let slow = hybrid.cores().iter();
    let slow = slow.filter(|core| core.kind == CoreKind::Efficient);
    let slow: CpuSet = slow.flat_map(|core| core.cpus.iter()).collect();
    assert_eq!(slow, set("16-19"));
}

#[test]
fn arm_server_without_smt() {
    let arm = machine("arm-80-cores");
    assert_eq!(arm.cores().len(), 80);
    assert!(!arm.has_smt() && !arm.is_hybrid());
    let core = arm.core_of(79).unwrap();
    assert_eq!((core.die, &core.l3, core.id), (None, &None, 79));
}

#[test]
fn little_cores_by_their_capacity() {
    let little = "devices/system/cpu/cpu[0-3]/cpu_capacity: 381";
    let arm = with("arm-80-cores", little, "0-79").unwrap();
    assert_eq!(arm.core_of(3).unwrap().kind, CoreKind::Efficient);
    assert_eq!(arm.core_of(4).unwrap().kind, CoreKind::Full);
}

#[test]
fn what_the_process_may_use() {
    let part = with("desktop-8-cores-smt", "", "2,10,99").unwrap();
    assert_eq!(part.allowed(), &set("2,10"));
    assert_eq!(part.online(), &set("0-15"));
    let error = with("vm-2-cores", "", "2-3").unwrap_err().to_string();
    assert!(
        error.contains("\"2-3\"") && error.contains("\"0-1\""),
        "{error}"
    );
}

#[test]
fn a_sibling_that_is_switched_off() {
    let off = "devices/system/cpu/online: 0-10,12-15\n\
               devices/system/cpu/cpu3/topology/core_cpus_list: 3";
    let desktop = with("desktop-8-cores-smt", off, "0-15").unwrap();
    consistent(&desktop);
    assert_eq!(desktop.siblings(3), set(""));
    assert_eq!(desktop.core_of(11), None);
    assert_eq!(desktop.siblings(4), set("12"));
}

#[test]
fn isolated_and_tickless_cpus() {
    let more = "devices/system/cpu/isolated: 4-7,12-15,200\n\
                devices/system/cpu/nohz_full: 4-7";
    let desktop = with("desktop-8-cores-smt", more, "0-15").unwrap();
    assert_eq!(desktop.isolated(), &set("4-7,12-15"));
    assert_eq!(desktop.nohz_full(), &set("4-7"));
}

#[test]
fn an_empty_tree_leaves_what_the_process_may_use() {
    let dir = TempDir::new().unwrap();
    let topology = Topology::read(dir.path(), &set("1,5")).unwrap();
    consistent(&topology);
    assert_eq!(topology.online(), &set("1,5"));
    assert_eq!(topology.cores().len(), 2);
}

#[test]
fn contents_that_contradict_each_other() {
    let odd = "devices/system/cpu/cpu0/topology/core_cpus_list: 0-7\n\
               devices/system/cpu/cpu1/topology/core_cpus_list: 2\n\
               devices/system/cpu/cpu2/topology/core_cpus_list: -\n\
               devices/system/cpu/cpu3/topology/physical_package_id: 99999999999999\n\
               devices/system/cpu/cpu4/cpufreq/scaling_governor: \u{1b}[31m\n\
               devices/system/node/node0/cpulist: 0-9\n\
               devices/system/node/node1/cpulist: 8-12\n\
               devices/system/node/node18446744073709551616/cpulist: 1";
    let desktop = with("desktop-8-cores-smt", odd, "0-15").unwrap();
    consistent(&desktop);
    assert_eq!(desktop.cores()[0].cpus, set("0"));
    assert_eq!(desktop.siblings(7), set("15"));
    assert_eq!(desktop.nodes()[&1], set("10-12"));
    assert_eq!(desktop.nodes()[&0], set("0-9,13-15"));
    assert!(desktop.oddities().len() >= 4, "{:?}", desktop.oddities());
    assert!(
        desktop
            .oddities()
            .iter()
            .all(|o| o.is_ascii() && o.len() < 200)
    );
    assert_eq!(desktop.governors().len(), 1);
}

#[test]
fn files_that_are_no_text_or_never_end() {
    let dir = TempDir::new().unwrap();
    unpack("devices/system/cpu/online: 0-1", dir.path());
    let topology = dir.path().join("devices/system/cpu/cpu0/topology");
    fs::create_dir_all(&topology).unwrap();
    std::os::unix::fs::symlink("/dev/zero", topology.join("core_cpus_list")).unwrap();
    fs::write(topology.join("core_id"), [0xff, 0xfe]).unwrap();
    fs::create_dir(topology.join("die_id")).unwrap();
    let topology = Topology::read(dir.path(), &set("0-1")).unwrap();
    consistent(&topology);
    assert_eq!(topology.oddities().len(), 2, "{:?}", topology.oddities());
}

#[test]
fn this_machine() {
    let topology = Topology::of_this_machine().unwrap();
    consistent(&topology);
    let own = vcp_topology::affinity::allowed().and(topology.online());
    assert!(own.without(topology.allowed()).is_empty());
}
