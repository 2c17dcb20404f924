//! Files as disks: every byte of them, the space that they take, and what is said when
//! there is none. With the programs that a user has.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vcp_tests::client::Clients;
use vcp_tests::process::{command, must, run};
use vcp_tests::requires;
use vcp_tests::user::User;
use vcp_tests::vcp::{Vcp, assert_one_line};

const MIB: u64 = 1 << 20;
const ODD: usize = 3_000_017;

/// A host that serves the file `image` of a directory.
fn serve(user: &User, dir: &Path, options: &str) -> Vcp {
    user.host(&[configure(user, dir, options)])
}

fn configure(user: &User, dir: &Path, options: &str) -> &'static str {
    let text = format!(
        "[vcp.disk]\nmodule = \"file\"\nfiles = [{{ host = \"{}\", guest = \"/d\" }}]\n\
         config = {{ path = \"/d/image\"{options} }}\n[export.disk]\n",
        dir.display()
    );
    fs::write(user.dir().join("file.toml"), text).expect("writing a configuration");
    "file.toml"
}

fn directory(user: &User, name: &str) -> PathBuf {
    let dir = user.dir().join(name);
    fs::create_dir(&dir).expect("making a directory");
    dir
}

/// A small file system in memory; it goes with the directory that it lies in.
fn small(user: &User, options: &str) -> PathBuf {
    let dir = directory(user, "small");
    let path = dir.display().to_string();
    must("mount", &["-t", "tmpfs", "-o", options, "vcp-test", &path]);
    dir
}

fn noise(length: usize) -> Vec<u8> {
    let byte = |n: usize| (n.wrapping_mul(0x9e37_79b9) >> 13) as u8;
    (0..length).map(byte).collect()
}

fn blocks(file: &Path) -> u64 {
    fs::metadata(file).expect("it is there").blocks()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name of ours")
}

#[test]
fn a_file_of_any_size_is_copied_whole() {
    requires!("nbdcopy", "nbdinfo", "qemu-img");
    let user = User::new();
    let dir = directory(&user, "images");
    let image = dir.join("image");
    fs::write(&image, vec![0xff; ODD]).expect("an image");
    let host = serve(&user, &dir, "");
    let clients = Clients::new(user.dir());
    let [source, back] = ["source", "back"].map(|name| user.dir().join(name));
    fs::write(&source, noise(ODD)).expect("a source");
    let info = clients.info(&host.uri());
    assert_eq!(info["export-size"], ODD);
    assert_eq!(info["block_size_minimum"], 1);
    assert_eq!(info["block_size_preferred"], 4096);
    clients.succeed("nbdcopy", &["--flush", text(&source), &host.uri()]);
    assert!(fs::read(&image).expect("the image") == noise(ODD));
    clients.succeed("nbdcopy", &[&host.uri(), text(&back)]);
    assert!(fs::read(&back).expect("the copy") == noise(ODD));
    // This program rounds a disk up to whole sectors, and fills the last with zeroes.
    let raw = ["convert", "-f", "raw", "-O", "raw"];
    clients.succeed(
        "qemu-img",
        &[&raw[..], &[&host.uri(), text(&back)]].concat(),
    );
    let copy = fs::read(&back).expect("the copy");
    assert!(copy[..ODD] == noise(ODD));
    host.shut_down();
}

#[test]
fn a_disk_with_sectors_takes_any_size_too() {
    requires!("nbdcopy");
    let user = User::new();
    let host = user.ram("ram");
    let clients = Clients::new(user.dir());
    let [source, back] = ["source", "back"].map(|name| user.dir().join(name));
    fs::write(&source, noise(ODD)).expect("a source");
    assert_eq!(clients.info(&host.uri())["block_size_minimum"], 1);
    clients.succeed("nbdcopy", &[text(&source), &host.uri()]);
    clients.succeed("nbdcopy", &[&host.uri(), text(&back)]);
    let copy = fs::read(&back).expect("the copy");
    assert_eq!(copy.len() as u64, 8 * MIB);
    assert!(copy[..ODD] == noise(ODD));
    assert!(copy[ODD..].iter().all(|byte| *byte == 0));
    host.shut_down();
}

#[test]
fn a_rescan_finds_every_byte() {
    let user = User::new();
    let dir = directory(&user, "images");
    let image = File::create(dir.join("image")).expect("making a file");
    image.set_len(1001).expect("a length");
    let host = serve(&user, &dir, "");
    image.set_len(1002).expect("a length");
    let found = user.json(&["rescan", "disk"]);
    assert_eq!(
        (&found["size-before"], &found["size"]),
        (&1001.into(), &1002.into())
    );
    host.shut_down();
}

/// Data of a disk, as `nbdinfo` has it: offset and length of each run.
fn data(clients: &Clients, uri: &str) -> Vec<(u64, u64)> {
    let map = clients.succeed("nbdinfo", &["--map", "--json", uri]);
    let map: Value = serde_json::from_str(&map).expect("nbdinfo prints JSON");
    let runs = map.as_array().expect("of extents").iter();
    let number = |run: &Value, key: &str| run[key].as_u64().expect("a number");
    runs.filter(|run| run["type"] == 0)
        .map(|run| (number(run, "offset"), number(run, "length")))
        .collect()
}

#[test]
fn space_is_given_back_and_copies_stay_sparse() {
    requires!("nbdinfo", "nbdcopy", "qemu-img", "qemu-io");
    let user = User::new();
    let dir = directory(&user, "images");
    let image = dir.join("image");
    let host = serve(&user, &dir, ", size = \"64MiB\"");
    let clients = Clients::new(user.dir());
    let uri = host.uri();
    assert_eq!(blocks(&image), 0);
    assert_eq!(data(&clients, &uri), []);
    clients.qemu_io(&uri, &["write -P 7 16M 8M", "flush"]);
    assert_eq!(blocks(&image), 8 << 11);
    assert_eq!(data(&clients, &uri), [(16 * MIB, 8 * MIB)]);

    // By trim, and by zeroes that may be holes.
    clients.qemu_io(&uri, &["discard 16M 2M", "write -z -u 18M 2M"]);
    assert_eq!(blocks(&image), 4 << 11);
    assert_eq!(data(&clients, &uri), [(20 * MIB, 4 * MIB)]);
    // Zeroes that may not be: the space stays.
    clients.qemu_io(
        &uri,
        &["write -z 20M 1M", "read -P 0 16M 5M", "read -P 7 21M 3M"],
    );
    assert_eq!(blocks(&image), 4 << 11);
    let map = clients.succeed("qemu-img", &["map", "--output=json", "-f", "raw", &uri]);
    let map: Value = serde_json::from_str(&map).expect("qemu-img prints JSON");
    let first = &map[0];
    assert_eq!(
        (&first["zero"], &first["data"]),
        (&true.into(), &false.into()),
        "{map}"
    );

    let copy = user.dir().join("copy");
    clients.succeed("nbdcopy", &[&uri, text(&copy)]);
    assert!(blocks(&copy) <= 4 << 11, "{}", blocks(&copy));
    assert!(fs::read(&copy).expect("the copy") == fs::read(&image).expect("the image"));
    // And in again, over something else: what is a hole there is one here.
    clients.qemu_io(&uri, &["write -P 9 40M 8M"]);
    clients.succeed("nbdcopy", &["--allocated", text(&copy), &uri]);
    clients.succeed("nbdcopy", &[text(&copy), &uri]);
    assert!(blocks(&image) <= 4 << 11, "{}", blocks(&image));
    host.shut_down();
}

#[test]
fn load_is_verified_across_a_crash() {
    requires!("fio");
    let user = User::new();
    let dir = directory(&user, "images");
    let host = serve(&user, &dir, ", size = \"32MiB\"");
    let clients = Clients::new(user.dir());
    std::thread::scope(|scope| {
        let load = scope.spawn(|| clients.verify_load(&host.uri()));
        std::thread::sleep(std::time::Duration::from_millis(500));
        user.say(&["inject", "disk", "trap"]);
        load.join().expect("fio");
    });
    let disk = user.json(&["inspect", "disk"]);
    assert_eq!(disk["faults"], 1, "{disk}");
    host.shut_down();
}

/// What a client is told, by number.
const ERRORS: &str = "
def told(call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        return error.errnum
    return 0
h.set_strict_mode(0)
h.connect_uri(URI)
";

#[test]
fn a_full_file_system_is_said_to_be_full() {
    requires!(Root, "nbdsh");
    let user = User::new();
    let dir = small(&user, "size=1m");
    let host = serve(&user, &dir, ", size = \"8MiB\"");
    let clients = Clients::new(user.dir());
    let script = format!(
        "{ERRORS}
print(told(h.pwrite, b'x' * (2 << 20), 0))
print(told(h.zero, 2 << 20, 4 << 20, nbd.CMD_FLAG_NO_HOLE))
# What is there can be read, and given back.
print(told(h.pread, 4096, 0), told(h.trim, 8 << 20, 0))
print(told(h.pwrite, b'x' * (512 << 10), 0), told(h.flush))
"
    );
    let said = clients.script(&host.uri(), &script);
    assert_eq!(said, "28\n28\n0 0\n0 0\n");
    assert!(
        host.logs().contains("the file system is full"),
        "{}",
        host.logs()
    );
    host.shut_down();
}

#[test]
fn a_file_that_may_not_be_longer_is_no_space() {
    requires!("nbdsh", "prlimit");
    let user = User::new();
    let dir = directory(&user, "images");
    File::create(dir.join("image"))
        .and_then(|image| image.set_len(8 * MIB))
        .expect("an image");
    let host = serve(&user, &dir, "");
    must(
        "prlimit",
        &["--pid", &host.pid().to_string(), "--fsize=1048576"],
    );
    let script = format!(
        "{ERRORS}print(told(h.pwrite, b'x', 1 << 20), told(h.pwrite, b'x', 0), told(h.flush))"
    );
    let said = Clients::new(user.dir()).script(&host.uri(), &script);
    assert_eq!(said, "28 0 0\n");
    host.shut_down();
}

#[test]
fn what_must_not_be_written_is_not_permitted() {
    requires!(Root, "nbdsh");
    let user = User::new();
    let dir = small(&user, "size=4m");
    fs::write(dir.join("image"), noise(1 << 20)).expect("an image");
    must("mount", &["-o", "remount,ro", text(&dir)]);
    let refused = user.ask(&["run", configure(&user, &dir, "")]);
    assert_one_line(
        &refused,
        1,
        &["config.path: /d/image: ", "Read-only file system"],
    );
    let host = serve(&user, &dir, ", read-only = true");
    let script = format!(
        "{ERRORS}print(told(h.pwrite, b'x', 0), told(h.trim, 512, 0), told(h.zero, 512, 0))
print(told(h.pread, 1, 1 << 20), told(h.pread, 1, (1 << 20) - 1))"
    );
    let said = Clients::new(user.dir()).script(&host.uri(), &script);
    assert_eq!(said, "1 1 1\n22 0\n");
    host.shut_down();
}

#[test]
fn beyond_the_end_there_is_no_space() {
    requires!("nbdsh");
    let user = User::new();
    let dir = directory(&user, "images");
    fs::write(dir.join("image"), noise(ODD)).expect("an image");
    let host = serve(&user, &dir, "");
    let script = format!(
        "{ERRORS}end = h.get_size()
print(told(h.pwrite, b'xy', end - 1), told(h.zero, 2, end - 1))
print(told(h.pread, 2, end - 1), told(h.trim, 2, end - 1), told(h.pwrite, b'x', end - 1))"
    );
    let said = Clients::new(user.dir()).script(&host.uri(), &script);
    assert_eq!(said, "28 28\n22 22 0\n");
    host.shut_down();
}

/// An instance that dies has a successor, and that serves no other file, and no blank.
fn held(user: &User, why: &[&str]) {
    user.say(&["inject", "disk", "kill"]);
    let disk = user.until("disk", |vcp| vcp["state"] == "held");
    let said = disk["reason"].as_str().unwrap_or_default();
    for part in why {
        assert!(said.contains(part), "{part}: {disk}");
    }
}

/// The first bytes of a disk, for a client that connects now; or that it is refused.
fn first_bytes(user: &User, host: &Vcp) -> String {
    let script = "
try:
    h.connect_uri(URI)
    print(h.pread(4, 0).hex())
except nbd.Error:
    print('refused')
";
    Clients::new(user.dir()).script(&host.uri(), script)
}

#[test]
fn a_file_that_is_gone_is_not_made_anew() {
    requires!("nbdsh");
    let user = User::new();
    let dir = directory(&user, "images");
    let image = dir.join("image");
    let host = serve(&user, &dir, ", size = \"4MiB\"");
    let script = "h.connect_uri(URI)\nh.pwrite(b'data' * 128, 0, nbd.CMD_FLAG_FUA)\n";
    Clients::new(user.dir()).script(&host.uri(), script);
    // As long as it is there, a fault changes nothing.
    user.say(&["inject", "disk", "kill"]);
    assert_eq!(first_bytes(&user, &host), "64617461\n");
    fs::remove_file(&image).expect("removing it");
    held(
        &user,
        &["/d/image: No such file", "it was served", "`vcp restart`"],
    );
    assert!(!image.exists());
    assert_eq!(first_bytes(&user, &host), "refused\n");
    // What an operator wants is another matter.
    user.say(&["restart", "disk"]);
    user.until("disk", |vcp| vcp["state"] == "ready");
    assert_eq!(first_bytes(&user, &host), "00000000\n");
    assert_eq!(fs::metadata(&image).expect("a new one").len(), 4 * MIB);
    host.shut_down();
}

#[test]
fn a_file_that_was_cut_off_is_not_filled_up_with_zeroes() {
    requires!("nbdsh");
    let user = User::new();
    let dir = directory(&user, "images");
    let image = dir.join("image");
    fs::write(&image, noise(4 << 20)).expect("an image");
    let host = serve(&user, &dir, ", size = \"4MiB\"");
    let file = File::options().write(true).open(&image).expect("the image");
    file.set_len(MIB).expect("cutting it off");
    let script = format!(
        "{ERRORS}h2 = nbd.NBD()
h2.add_meta_context('base:allocation')
h2.set_strict_mode(0)
h2.connect_uri(URI)
extents = lambda *a: h2.block_status(*a, lambda *b: 0)
print(told(h.pread, 4096, 2 << 20), told(h.pwrite, b'x' * 512, 2 << 20))
print(told(h.trim, 4096, 2 << 20), told(h.zero, 4096, 2 << 20), told(h.zero, 2 << 20, 0))
print(told(extents, 4096, 1 << 20), told(extents, 4096, 2 << 20))
runs = []
h2.block_status(4 << 20, 0, lambda context, offset, entries, error: runs.extend(entries[::2]))
print(sum(runs), told(h.pread, 4096, (1 << 20) - 4096))"
    );
    let said = Clients::new(user.dir()).script(&host.uri(), &script);
    assert_eq!(said, "5 5\n5 5 5\n5 5\n1048576 0\n");
    assert_eq!(file.metadata().expect("its length").len(), MIB);
    held(
        &user,
        &["/d/image: holds 1048576 bytes, less than was served"],
    );
    assert_eq!(file.metadata().expect("its length").len(), MIB);
    host.shut_down();
}

#[test]
fn another_file_of_the_same_name_is_not_served() {
    requires!("nbdsh");
    let user = User::new();
    let dir = directory(&user, "images");
    let [image, other] = ["image", "other"].map(|name| dir.join(name));
    fs::write(&image, vec![0x11; 1 << 20]).expect("an image");
    fs::write(&other, vec![0x22; 1 << 20]).expect("another");
    let host = serve(&user, &dir, "");
    fs::rename(&other, &image).expect("replacing it");
    let why = "/d/image: is another file than was served";
    // The instance that has the first goes on with it.
    let reload = user.ask(&["reload", "disk"]);
    assert_one_line(&reload, 1, &[why]);
    assert_eq!(first_bytes(&user, &host), "11111111\n");
    held(&user, &[why]);
    assert_eq!(first_bytes(&user, &host), "refused\n");
    user.say(&["restart", "disk"]);
    user.until("disk", |vcp| vcp["state"] == "ready");
    assert_eq!(first_bytes(&user, &host), "22222222\n");
    // The same file by another's doing: renamed there and back, and linked.
    fs::rename(&image, &other).expect("renaming it");
    fs::hard_link(&other, &image).expect("linking it");
    user.say(&["inject", "disk", "kill"]);
    assert_eq!(first_bytes(&user, &host), "22222222\n");
    host.shut_down();
}

#[test]
fn a_rescan_finds_what_was_cut_off() {
    requires!("nbdsh");
    let user = User::new();
    let dir = directory(&user, "images");
    let image = File::create(dir.join("image")).expect("making a file");
    image.set_len(8 * MIB).expect("a length");
    let host = serve(&user, &dir, "");
    image.set_len(4 * MIB).expect("a length");
    assert_eq!(user.say(&["rescan", "disk"]), "disk: 4MiB, was 8MiB\n");
    let clients = Clients::new(user.dir());
    let size = "h.connect_uri(URI)\nprint(h.get_size())\n";
    assert_eq!(clients.script(&host.uri(), size), "4194304\n");
    // Who is connected was told more, and would never know.
    let [begun, over] = ["begun", "over"].map(|name| user.dir().join(name));
    let script = format!(
        "{ERRORS}import os, time
open({begun:?}, 'w').close()
while not os.path.exists({over:?}):
    time.sleep(0.01)
print(told(h.pread, 512, 0))"
    );
    std::thread::scope(|scope| {
        let client = scope.spawn(|| clients.script(&host.uri(), &script));
        let limit = std::time::Duration::from_secs(20);
        let there = vcp_tests::process::poll(limit, || begun.exists().then_some(()));
        image.set_len(2 * MIB).expect("a length");
        let rescan = user.ask(&["rescan", "disk"]);
        fs::write(&over, "").expect("an end");
        assert!(there.is_some());
        assert_one_line(&rescan, 1, &["disk", "not rescanned"]);
        assert_eq!(client.join().expect("the client"), "5\n");
    });
    user.until("disk", |vcp| vcp["state"] == "held");
    host.shut_down();
}

#[test]
fn a_size_that_no_file_can_have_leaves_nothing_behind() {
    requires!("prlimit");
    let user = User::new();
    let dir = directory(&user, "images");
    let image = dir.join("image");
    let file = configure(&user, &dir, ", size = \"4MiB\"");
    let refuse = || {
        let host = user.command(&["run", file]);
        let mut limited = command("prlimit");
        limited.arg("--fsize=1048576").arg(host.get_program());
        limited.args(host.get_args()).current_dir(user.dir());
        let set = host.get_envs();
        limited.envs(set.filter_map(|(key, value)| Some((key, value?))));
        let refused = run(limited, user.dir(), std::time::Duration::from_secs(20));
        let why = "config.path: /d/image: the file system is full, a quota is used up, or";
        assert_one_line(&refused, 1, &[why]);
    };
    refuse();
    assert!(!image.exists());
    // One that was there is not the host's to remove.
    fs::write(&image, "").expect("an empty file");
    refuse();
    assert_eq!(fs::metadata(&image).expect("it stays").len(), 0);
    serve(&user, &dir, ", size = \"4MiB\"").shut_down();
}
