//! Verbs that did not do what they say: exit code 1, and one line with the reason.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use vcp_tests::nbd::Connection;
use vcp_tests::user::User;
use vcp_tests::vcp::assert_one_line;

/// A restart whose instance can't be started, and one after what was in the way is gone.
#[test]
fn a_restart_that_ends_up_held_has_failed() {
    let user = User::new();
    let image = user.dir().join("disk.img");
    let text = format!(
        "[vcp.file]\nmodule = \"file\"\nconfig = {{ path = \"/data/disk.img\" }}\n\
         files = [{{ host = \"{}\", guest = \"/data\" }}]\n\
         restart = {{ limit = 1, min-run = \"1h\", backoff = \"1ms..1ms\" }}\n[export.file]\n",
        user.dir().display()
    );
    fs::write(user.dir().join("host.toml"), text).expect("writing a configuration");
    fs::write(&image, vec![0; 1 << 20]).expect("making an image");
    let host = user.host(&["host.toml"]);
    fs::remove_file(&image).expect("it is there");
    let held = ["VCP file was restarted and is held: ", "/data/disk.img"];
    assert_one_line(&user.ask(&["restart", "file"]), 1, &held);
    let none = ["VCP file is held: there is no instance to fail"];
    assert_one_line(&user.ask(&["inject", "file", "trap"]), 1, &none);
    assert_one_line(&user.ask(&["restart", "file"]), 1, &held);
    fs::write(&image, vec![0; 1 << 20]).expect("making an image");
    let said = user.say(&["restart", "file"]);
    assert!(said.ends_with(", ready\n"), "{said}");
    host.shut_down();
}

/// A restart after which no instance stays has failed, and says what it lacks.
#[test]
fn a_restart_that_never_serves_has_failed() {
    let user = User::new();
    let host = user.ram("ram");
    user.say(&["set", "ram", "memory=1MiB"]);
    let named = [
        "VCP ram was restarted and does not serve after 20s: it is restarting",
        "out of memory: it may have 1048576 bytes (`memory`) and asked for ",
    ];
    assert_one_line(&user.ask(&["restart", "ram"]), 1, &named);
    user.say(&["set", "ram", "memory=64MiB"]);
    user.say(&["restart", "ram"]);
    host.shut_down();
}

/// What is to be cut is a call; without one, or with one that is over before, there is
/// nothing to cut, and nothing is cut later.
#[test]
fn a_cut_without_anything_to_cut_has_failed() {
    let user = User::new();
    let host = user.configured("");
    let mut client = Connection::of(&host.uri());
    client.read(0, 512).expect("it is served");
    let faults = || user.json(&["inspect", "ram"])["faults"].clone();
    let idle = ["VCP ram: nothing was cut: it made no call within 5s"];
    assert_one_line(&user.ask(&["inject", "ram", "cut:10"]), 1, &idle);
    client.read(0, 512).expect("it is served");
    assert_eq!(faults(), 0, "it was cut later");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                client.read(0, 512).expect("it is served, if later");
            }
        });
        let much = ["nothing was cut: its next call was over before 1000000000000 units"];
        let outcome = user.ask(&["inject", "ram", "cut:1000000000000"]);
        let before = faults();
        let said = user.ask(&["inject", "ram", "cut:10"]);
        over.store(true, Ordering::Relaxed);
        assert_one_line(&outcome, 1, &much);
        assert_eq!(before, 0);
        let said = said.expect_success("cutting a call");
        assert_eq!(said, "ram: cut:10 ended generation 1 in a call\n");
    });
    assert_eq!(faults(), 1);
    host.shut_down();
}
