//! `vcp attach` and `vcp detach` of what makes no sense: one line that says so. What a
//! kernel says of devices is tested in `disk`, in virtual machines.

use vcp_tests::user::User;
use vcp_tests::vcp::assert_one_line;

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
