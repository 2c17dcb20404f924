//! `vcp attach` and `vcp detach` on this machine, whose kernel has no nbd: one line
//! that says so, and what makes no sense is told apart from it.

use serde_json::json;
use vcp_tests::requires;
use vcp_tests::user::User;
use vcp_tests::vcp::assert_one_line;

#[test]
fn one_line_says_that_there_is_no_nbd() {
    requires!(NoNbd);
    let user = User::new();
    let host = user.ram("ram");
    let refused = user.ask(&["attach", "ram"]);
    assert_one_line(&refused, 1, &["export ram: this kernel (", ") has no nbd"]);
    // Nothing is left over of the attempt.
    let export = &user.json(&["ps"])[0]["vcps"][0]["exports"][0];
    assert_eq!(export["devices"], json!([]));
    assert_eq!(user.json(&["inspect", "ram"])["clients"], 0);
    host.shut_down();
}

#[test]
fn what_makes_no_sense_is_one_line() {
    let user = User::new();
    let host = user.ram("ram");
    let far = "/dev/nbd1048575";
    for (words, code, says) in [
        (&["attach", "ram", "/dev/sda"][..], 2, "/dev/nbd0"),
        (&["attach", "ram", "--connections", "17"], 2, "from 1 to 16"),
        (&["attach", "ram", "--timeout", "0"], 2, "--timeout: "),
        (&["attach", "ram", "--dead-timeout", "never"], 2, "a time"),
        (&["attach", "other"], 1, "there are: ram"),
        (&["detach", "ram"], 1, "export ram is not attached"),
        (&["detach", "/dev/sda"], 1, "\"/dev/sda\" is no nbd device"),
        (&["detach", far], 1, "/dev/nbd1048575 is not attached"),
        (&["detach", "--force", far], 1, "is not attached"),
    ] {
        assert_one_line(&user.ask(words), code, &[says]);
    }
    host.shut_down();
}

#[test]
fn a_device_that_cannot_be_had_ends_the_host() {
    requires!(NoNbd);
    let user = User::new();
    let text = "[vcp.ram]\nmodule = \"ramdisk\"\nconfig = { size = \"1MiB\" }\n\
                [export.ram]\nattach = {}\n";
    std::fs::write(user.dir().join("host.toml"), text).expect("writing a configuration");
    let refused = user.ask(&["run", "host.toml"]);
    assert_one_line(
        &refused,
        1,
        &["vcp: export ram: this kernel (", ") has no nbd"],
    );
}

#[test]
fn the_doctor_knows() {
    requires!(NoNbd);
    let report = User::new().say(&["doctor"]);
    let line = report.lines().find(|line| line.contains("/dev/nbdX"));
    let line = line.expect("a line on devices");
    assert!(line.contains("no: "), "{line}");
}
