//! Many devices at once, and one after the other, and nothing left of them.

use std::time::Duration;

use vcp_tests::process::poll;
use vcp_tests::requires;
use vcp_tests::scale::is_full;
use vcp_tests::vm::Vm;

use crate::AGENT;

const DEVICES: u32 = 32;
const LIMIT: Duration = Duration::from_secs(300);
/// How long what was used last may stay about.
const SETTLED: Duration = Duration::from_secs(60);

#[test]
fn devices_come_and_go_and_leave_nothing() {
    requires!(Machine);
    let mut vm = Vm::boot(AGENT);
    let table = |number: u32| {
        format!(
            "[vcp.d{number}]\nmodule = \"ramdisk\"\nmemory = \"16MiB\"\nconfig = {{ size = \"4MiB\" }}\n\
             [export.d{number}]\n"
        )
    };
    let text: String = (1..=DEVICES).map(table).collect();
    vm.write("/etc/vcp.toml", &text);
    vm.run("vcp run /etc/vcp.toml > /run/host.out 2> /dev/console & echo $! > /run/host.pid");
    let all = format!("[ $(grep -c nbd /run/host.out) = {DEVICES} ]");
    vm.until(&all, LIMIT);
    let all_at_once = all_at_once();
    vm.ask(&all_at_once, LIMIT).expect_success("attaching all");
    vm.run("vcp ps --json > /run/ps.json");
    let before = left(&mut vm);
    vm.ask(&all_at_once, LIMIT)
        .expect_success("attaching all again");
    let rounds = if is_full() { 200 } else { 10 };
    let one_by_one = format!(
        "for round in $(seq {rounds}); do
             name=d$((round % {DEVICES} + 1))
             vcp attach $name > /dev/null && vcp detach $name > /dev/null || exit 1
         done"
    );
    let outcome = vm.ask(&one_by_one, LIMIT);
    outcome.expect_success("attaching and detaching");
    // Threads that wait for more to do end after a while.
    let settled = poll(SETTLED, || {
        let after = left(&mut vm);
        let none_more = after
            .iter()
            .zip(before)
            .all(|(after, before)| *after <= before);
        none_more.then_some(after)
    });
    let after = settled.unwrap_or_else(|| panic!("{:?} of {before:?}: {KINDS:?}", left(&mut vm)));
    println!("{KINDS:?}: {before:?} before, {after:?} after {rounds} rounds");
    vm.run("kill $(cat /run/host.pid)");
    vm.until("[ ! -e /proc/$(cat /run/host.pid) ]", LIMIT);
    vm.shut_down();
}

/// Attaches every disk, tells them apart, and detaches them.
fn all_at_once() -> String {
    format!(
        "set -e
         for number in $(seq {DEVICES}); do
             device=$(vcp attach d$number --json | grep -o '/dev/nbd[0-9]*' | head -n 1)
             echo $device > /run/d$number
             printf '%512s' d$number | dd of=$device bs=512 conv=fsync 2> /dev/null
         done
         [ $(sort -u /run/d[0-9]* | wc -l) = {DEVICES} ]
         [ $(ls -d /sys/block/nbd*/pid | wc -l) = {DEVICES} ]
         echo 3 > /proc/sys/vm/drop_caches
         for number in $(seq {DEVICES}); do
             found=$(dd if=$(cat /run/d$number) bs=512 count=1 2> /dev/null)
             [ $found = d$number ] || {{ echo d$number holds $found >&2; exit 1; }}
             vcp detach d$number > /dev/null
         done"
    )
}

/// What could be left: of the host, and of the kernel.
const KINDS: [&str; 4] = ["descriptors", "threads", "devices", "attached"];

/// How many there are of each.
fn left(vm: &mut Vm) -> [u64; 4] {
    let counts = vm.run(
        "pid=$(cat /run/host.pid)
         ls /proc/$pid/fd | wc -l
         ls /proc/$pid/task | wc -l
         ls -d /sys/block/nbd* | wc -l
         ls -d /sys/block/nbd*/pid 2> /dev/null | wc -l",
    );
    let counts: Vec<u64> = counts.lines().flat_map(str::parse).collect();
    counts.try_into().expect("four numbers")
}
