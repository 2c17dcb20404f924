//! `vcp clients`.

use std::time::Duration;

use vcp_tests::nbd::Connection;
use vcp_tests::user::User;

use crate::flood::Flood;

#[test]
fn clients_are_listed_with_what_they_did() {
    let user = User::new();
    let host = user.ram("ram");
    let uri = host.uri();
    let mut one = Connection::of(&uri);
    one.write(4096, &[7; 512]).unwrap();
    one.read(0, 8192).unwrap();
    let mut half = Connection::of(&uri);
    half.begin_write(1, 0, 4096, &[1; 100]).unwrap();
    let flood = Flood::start(&uri, 4, 4096);
    user.say(&["set", "ram", "limit.iops=50", "limit.burst=10ms"]);
    std::thread::sleep(Duration::from_millis(200));
    let listed = user.json(&["clients", "ram"]);
    let clients = listed["clients"].as_array().expect("a list");
    assert_eq!(clients.len(), 3, "{listed}");
    let numbers = |at: usize, key: &str| clients[at][key].as_u64().expect("a number");
    assert_eq!((numbers(0, "requests"), numbers(0, "unanswered")), (2, 0));
    assert_eq!(
        (numbers(0, "read-bytes"), numbers(0, "written-bytes")),
        (8192, 512)
    );
    assert_eq!(clients[0]["export"], "ram");
    let peer = clients[0]["peer"].as_str().expect("a name");
    assert_eq!(peer, format!("unix:pid:{}", std::process::id()));
    assert!(clients[0]["waits"].is_null(), "{listed}");
    assert_eq!(clients[1]["waits"], "for the rest of a request");
    assert_eq!(clients[2]["waits"], "for its limit");
    let table = user.say(&["clients", "ram"]);
    assert!(table.contains("for its limit"), "{table}");
    assert!(table.contains(&format!("  {peer}  ")), "{table}");
    user.say(&["set", "ram", "limit.iops=none"]);
    drop(flood);
    host.shut_down();
}

#[test]
fn a_client_is_ended_by_its_number_and_nobody_else() {
    let user = User::new();
    let host = user.ram("ram");
    let uri = host.uri();
    let (mut one, mut other) = (Connection::of(&uri), Connection::of(&uri));
    let listed = user.json(&["clients", "ram"]);
    let id = listed["clients"][1]["id"].to_string();
    assert!(
        user.say(&["clients", "ram", "--end", &id])
            .contains("ended")
    );
    assert!(other.read(0, 512).is_err(), "it is still served");
    one.read(0, 512).expect("it is served");
    let again = user.ask(&["clients", "ram", "--end", &id]);
    vcp_tests::vcp::assert_one_line(&again, 1, &["no client", &id]);
    let nobody = user.ask(&["clients", "none"]);
    vcp_tests::vcp::assert_one_line(&nobody, 1, &["none"]);
    host.shut_down();
}
