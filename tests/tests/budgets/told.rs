//! What is told of budgets: `vcp top`, metrics for Prometheus, `vcp doctor`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use vcp_tests::requires;
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::assert_one_line;

#[test]
fn top_has_a_line_for_each() {
    requires!("qemu-io");
    let user = User::new();
    let host = user.host(&[user.disks(&[("a", "cpu = { share = \"30%\" }"), ("b", "")])]);
    let uris = host.wait_for_uris(2);
    user.clients().qemu_io(&uris[0], &["write -P 5 0 64k"]);
    let table = user.say(&["top", "--once", "--plain"]);
    let row = |name: &str| {
        let lines = table.lines().map(|line| line.split_whitespace().collect());
        let found = lines
            .into_iter()
            .find(|words: &Vec<&str>| words.first() == Some(&name));
        found.unwrap_or_else(|| panic!("no {name} in\n{table}"))
    };
    assert_eq!(row("NAME")[1..3], ["STATE", "CPU%"]);
    assert_eq!(row("a")[1], "ready");
    assert!(row("a")[2].ends_with("/30"), "{table}");
    assert_eq!(row("b")[1], "ready");
    let unknown = user.ask(&["top", "--once", "--plain", "c"]);
    assert_one_line(&unknown, 1, &["no VCP c"]);
    host.shut_down();
}

/// The answer to a GET: its status line, and its body.
fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("not zero");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.lines().next().unwrap_or_default();
    (status.to_owned(), body.to_owned())
}

/// An address of this machine that nobody listens on.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.local_addr().expect("just bound")
}

#[test]
fn metrics_are_served_as_the_book_has_them() {
    requires!("qemu-io");
    let user = User::new();
    let address = free();
    let at = format!("tcp:{address}");
    let host = user.host(&["ramdisk", "size=8MiB", "--name", "ram", "--metrics", &at]);
    // What it used is charged every 10 ms, or when it has something to do again.
    let steps = ["write -P 5 0 64k", "sleep 30", "read 0 4k"];
    user.clients().qemu_io(&host.uri(), &steps);
    let (status, text) = get(address, "/metrics");
    assert!(status.ends_with("200 OK"), "{status}");
    let value = |name: &str| -> f64 {
        let label = format!("{name}{{vcp=\"ram\"}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&label));
        let found = found.unwrap_or_else(|| panic!("no {label} in\n{text}"));
        found.parse().expect("a number")
    };
    assert!(value("vcp_cpu_seconds_total") > 0.0);
    assert_eq!(value("vcp_written_bytes_total"), 65536.0);
    assert!(get(address, "/").0.contains("404"));
    let printed = user.say(&["metrics"]);
    host.shut_down();

    // Name, kind and what it means, as they are in the text itself.
    let lines: Vec<&str> = text.lines().collect();
    let family = |pair: &[&str]| {
        let (name, help) = pair[0].strip_prefix("# HELP ")?.split_once(' ')?;
        let kind = pair[1].rsplit_once(' ')?.1;
        Some(format!("| `{name}` | {kind} | {help} |"))
    };
    let served: Vec<String> = lines.windows(2).filter_map(family).collect();
    assert!(!served.is_empty(), "{text}");
    let by_command: Vec<&str> = printed.lines().collect();
    let by_command: Vec<String> = by_command.windows(2).filter_map(family).collect();
    assert_eq!(by_command, served, "vcp metrics");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/metrics.md");
    let book = std::fs::read_to_string(page).expect("the book is here");
    let written: Vec<&str> = book
        .lines()
        .filter(|line| line.starts_with("| `vcp_"))
        .collect();
    assert_eq!(written, served, "docs/src/reference/metrics.md");
}

#[test]
fn metrics_are_for_this_machine_only() {
    let user = User::new();
    for (address, named) in [
        ("tcp:0.0.0.0:9400", "no loopback address"),
        ("tcp:[::]:9400", "no loopback address"),
        ("tcp:localhost:9400", "tcp:ADDRESS:PORT"),
        ("unix:/tmp/x", "tcp:ADDRESS:PORT"),
    ] {
        let refused = user.ask(&["run", "ramdisk", "size=8MiB", "--metrics", address]);
        assert_one_line(&refused, 2, &["--metrics", named]);
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let at = format!("tcp:{}", taken.local_addr().expect("just bound"));
    let refused = user.ask(&["run", "ramdisk", "size=8MiB", "--metrics", &at]);
    assert_one_line(&refused, 1, &["--metrics", "in use"]);
}

#[test]
fn doctor_shows_the_map() {
    let user = User::new();
    let said = user.say(&["doctor"]);
    for part in ["CPUs online", "SCHED_FIFO", "Recommended"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    let cpus = std::thread::available_parallelism().expect("this runs on one");
    let rows = said
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    // The first says how many there are.
    assert!(rows.count() >= 2, "{cpus}:\n{said}");
}
