//! Both ends of control sockets, with a made-up host.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use vcp_control::report::{Done, Export, Host, Summary};
use vcp_control::{
    Answer, BindError, Client, ClientError, Handler, Handling, Hosts, Refusal, RefusalKind,
    Request, Server,
};

/// A host with these VCPs and this process id.
struct Fake {
    pid: u32,
    vcps: &'static [&'static str],
}

impl Fake {
    fn at(path: &Path, pid: u32, vcps: &'static [&'static str]) -> Server {
        Server::bind(path, Arc::new(Self { pid, vcps })).unwrap()
    }

    fn host(&self) -> Host {
        let summary = |name: &&str| Summary {
            name: (*name).to_owned(),
            state: "ready".into(),
            reason: None,
            generation: 1,
            module: "ramdisk".into(),
            faults: 0,
            uptime_ms: 0,
            clients: 0,
            waiting: 0,
            cpu_ms: 0,
            share: None,
            exports: vec![Export {
                name: format!("{name}-export"),
                uris: Vec::new(),
                devices: Vec::new(),
            }],
        };
        Host {
            log: Default::default(),
            pid: self.pid,
            version: "0".into(),
            uptime_ms: 0,
            vcps: self.vcps.iter().map(summary).collect(),
        }
    }
}

impl Handler for Fake {
    fn handle(&self, request: Request) -> Handling<'_> {
        Box::pin(async move {
            match request {
                Request::Ps {} => Ok(Answer::new(&self.host())),
                Request::Set { name, changes } => {
                    Ok(Answer::new(&done(name, changes.len() as u32)))
                }
                Request::Stats {} => Ok(Answer::new(&[1, 2, 3])),
                Request::Restart { vcp } => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(Answer::new(&done(vcp, 7)))
                }
                Request::Crash { vcp, .. } => Ok(Answer::new(&done(vcp, 1))
                    .with_bytes((0..3_000_000u32).map(|n| n as u8).collect())),
                _ => Err(Refusal::new(RefusalKind::NoSuchVcp, "no such VCP")),
            }
        })
    }
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn done(vcp: String, generation: u32) -> Done {
    let state = "ready".to_owned();
    Done {
        vcp,
        generation,
        state,
    }
}

fn restart(vcp: &str) -> Request {
    Request::Restart { vcp: vcp.into() }
}

#[tokio::test]
async fn asks_and_is_answered() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let server = Fake::at(&path, 1, &["a"]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = Client::connect(&path).await.unwrap();
    for _ in 0..3 {
        let done: Done = client.ask(&restart("a")).await.unwrap();
        assert_eq!(done.generation, 7);
        let stop = Request::Stop { vcp: "b".into() };
        let refused = client.ask::<Done>(&stop).await.unwrap_err();
        assert!(
            matches!(&refused, ClientError::Refused(r) if r.kind == RefusalKind::NoSuchVcp),
            "{refused:?}"
        );
    }
    drop(server);
    assert!(!path.exists());
    assert!(Client::connect(&path).await.is_err());
    assert!(client.ask::<Done>(&restart("a")).await.is_err());
}

#[tokio::test]
async fn what_was_asked_is_answered_before_the_end() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let server = Fake::at(&path, 1, &["a"]);
    let mut idle = Client::connect(&path).await.unwrap();
    let _: Host = idle.ask(&Request::Ps {}).await.unwrap();
    let mut client = Client::connect(&path).await.unwrap();
    let asked = tokio::spawn(async move { client.ask::<Done>(&restart("a")).await });
    tokio::time::sleep(Duration::from_millis(5)).await;
    let begun = std::time::Instant::now();
    server.finish(Duration::from_secs(5)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "an idle client held it up"
    );
    assert_eq!(asked.await.unwrap().unwrap().generation, 7);
    assert!(idle.ask::<Host>(&Request::Ps {}).await.is_err());
    assert!(!path.exists());
}

#[tokio::test]
async fn budgets_are_set_and_read() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let _server = Fake::at(&path, 1, &["a"]);
    let mut client = Client::connect(&path).await.unwrap();
    let set = Request::Set {
        name: "a".into(),
        changes: vec!["cpu.share=30%".into(), "memory=1MiB".into()],
    };
    let done: Done = client.ask(&set).await.unwrap();
    assert_eq!((done.vcp.as_str(), done.generation), ("a", 2));
    let stats: Vec<u32> = client.ask(&Request::Stats {}).await.unwrap();
    assert_eq!(stats, [1, 2, 3]);
}

#[tokio::test]
async fn bytes_follow_an_answer() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let _server = Fake::at(&path, 1, &["a"]);
    let mut client = Client::connect(&path).await.unwrap();
    let request = Request::Crash {
        vcp: "a".into(),
        number: None,
        core: true,
    };
    let mut sink = Vec::new();
    let (done, length): (Done, u64) = client.ask_for_bytes(&request, &mut sink).await.unwrap();
    assert_eq!((done.vcp.as_str(), length), ("a", 3_000_000));
    assert!(sink.iter().enumerate().all(|(n, byte)| n as u8 == *byte));
    // The connection is still in step.
    let _: Host = client.ask(&Request::Ps {}).await.unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_answered() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let _server = Fake::at(&path, 1, &["a"]);
    let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
    let mut answer = String::new();
    for (line, kind) in [
        (&b"\n"[..], "bad-request"),
        (b"GET / HTTP/1.1\n", "bad-request"),
        (b"\xff\xfe\n", "bad-request"),
        (b"{\"v\":1,\"verb\":\"fly\"}\n", "bad-request"),
        (b"{\"v\":9,\"verb\":\"ps\"}\n", "version"),
        (&[b'['; 9000], ""),
        (b"\n", "bad-request"),
    ] {
        stream.write_all(line).await.unwrap();
        if kind.is_empty() {
            continue;
        }
        answer.clear();
        stream.read_line(&mut answer).await.unwrap();
        assert!(answer.contains(&format!("\"kind\":\"{kind}\"")), "{answer}");
    }
    // Valid requests follow: several at once are answered in turn.
    let ps = b"{\"v\":1,\"verb\":\"ps\"}\n";
    stream.write_all(&ps.repeat(3)).await.unwrap();
    for _ in 0..3 {
        answer.clear();
        stream.read_line(&mut answer).await.unwrap();
        assert!(answer.contains("\"ok\""), "{answer}");
    }
}

#[tokio::test]
async fn a_request_without_end_ends_the_connection() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let _server = Fake::at(&path, 1, &["a"]);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    // The host may hang up before it has taken all.
    let _ = stream.write_all(&vec![b'x'; 1 << 20]).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("16384 bytes"), "{answer}");
    let mut client = Client::connect(&path).await.unwrap();
    let _: Host = client.ask(&Request::Ps {}).await.unwrap();
}

#[tokio::test]
async fn too_many_are_turned_away_and_then_not() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let _server = Fake::at(&path, 1, &["a"]);
    let mut idle = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(&path).await.unwrap();
        let _: Host = client.ask(&Request::Ps {}).await.unwrap();
        idle.push(client);
    }
    let mut late = Client::connect(&path).await.unwrap();
    let refused = late.ask::<Host>(&Request::Ps {}).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused(r) if r.kind == RefusalKind::Busy),
        "{refused:?}"
    );
    idle.pop();
    let again = async {
        loop {
            let mut client = Client::connect(&path).await.unwrap();
            if client.ask::<Host>(&Request::Ps {}).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_socket_is_taken_over_from_the_dead_only() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = Fake::at(&path, 1, &["a"]);
    let second = Server::bind(&path, Arc::new(Fake { pid: 2, vcps: &[] }));
    assert!(matches!(second, Err(BindError::Taken(_))), "{second:?}");
    drop(server);
    std::fs::write(&path, "precious").unwrap();
    let third = Server::bind(&path, Arc::new(Fake { pid: 3, vcps: &[] }));
    assert!(matches!(third, Err(BindError::NoSocket(_))), "{third:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let nowhere = scratch.socket("none/1.sock");
    let fourth = Server::bind(&nowhere, Arc::new(Fake { pid: 4, vcps: &[] }));
    assert!(
        matches!(fourth, Err(BindError::System { .. })),
        "{fourth:?}"
    );
}

#[tokio::test]
async fn a_successor_s_socket_is_not_removed() {
    let scratch = Scratch::new();
    let path = scratch.socket("1.sock");
    let first = Fake::at(&path, 1, &["a"]);
    std::fs::remove_file(&path).unwrap();
    let second = Fake::at(&path, 2, &["a"]);
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

/// The search covers several hosts, of which one is dead and one stuck.
#[tokio::test]
async fn finds_the_host_of_a_vcp() {
    let scratch = Scratch::new();
    let hosts = [(11, &["a", "shared"][..]), (12, &["b", "shared"][..])];
    let servers = hosts.map(|(pid, vcps)| {
        let path = scratch.socket(&format!("{pid}.sock"));
        Server::bind(&path, Arc::new(Fake { pid, vcps })).unwrap()
    });
    let silent = scratch.socket("13.sock");
    let listener = tokio::net::UnixListener::bind(&silent).unwrap();
    let hangs_up = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    drop(std::os::unix::net::UnixListener::bind(scratch.socket("14.sock")).unwrap());
    let find = async |address: &str| {
        let hosts = Hosts::in_directory(scratch.0.path()).await.unwrap();
        assert_eq!(hosts.found.len(), 2);
        assert_eq!(hosts.silent.len(), 1);
        assert_eq!(hosts.silent[0].0, silent);
        let found = hosts.with(&address.parse().unwrap());
        found.map(|found| found.host.pid).map_err(|e| e.to_string())
    };
    assert_eq!(find("a").await, Ok(11));
    assert_eq!(find("b").await, Ok(12));
    assert_eq!(find("12/shared").await, Ok(12));
    assert_eq!(
        find("shared").await.unwrap_err(),
        "shared is in several hosts; say which: 11/shared, 12/shared"
    );
    assert_eq!(
        find("c").await.unwrap_err(),
        "no VCP c is running; there are: a, b, shared"
    );
    assert_eq!(
        find("12/a").await.unwrap_err(),
        "no VCP 12/a is running; there are: a, b, shared"
    );
    let find = async |address: &str| {
        let hosts = Hosts::in_directory(scratch.0.path()).await.unwrap();
        let found = hosts.with_vcp_or_export(&address.parse().unwrap());
        found.map(|found| found.host.pid).map_err(|e| e.to_string())
    };
    assert_eq!(find("b").await, Ok(12));
    assert_eq!(find("b-export").await, Ok(12));
    assert_eq!(find("11/shared-export").await, Ok(11));
    assert_eq!(
        find("shared-export").await.unwrap_err(),
        "shared-export is in several hosts; say which: 11/shared-export, 12/shared-export"
    );
    assert_eq!(
        find("c").await.unwrap_err(),
        "no VCP c is running; there are: a, b, shared"
    );
    assert!(
        !scratch.socket("14.sock").exists(),
        "the dead host's socket"
    );
    drop(servers);
    hangs_up.abort();
}
