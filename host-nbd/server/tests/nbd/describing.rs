//! Descriptions of exports, as clients see them.

use serde_json::Value;

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use crate::requires;
use crate::tool::{fails, run};

fn two() -> Host {
    let small = Disk::new(1 << 20, 4096);
    let large = Disk::new(64 << 20, 512);
    Host::new([
        ("default", TestExport::new(large).described("the large one")),
        ("a small/one?", TestExport::new(small).read_only()),
    ])
}

fn nbdinfo(arguments: &[&str]) -> Value {
    serde_json::from_str(&run("nbdinfo", arguments)).unwrap()
}

#[test]
fn nbdinfo_describes_an_export() {
    requires!("nbdinfo");
    let host = two();
    let info = nbdinfo(&["--json", &host.uri("")]);
    assert_eq!(info["protocol"], "newstyle-fixed");
    assert_eq!(info["structured"], true);
    let export = &info["exports"][0];
    assert_eq!(export["export-name"], "default");
    assert_eq!(export["description"], "the large one");
    assert_eq!(export["export-size"], 64 << 20);
    assert_eq!(export["contexts"], serde_json::json!(["base:allocation"]));
    assert_eq!(export["block_size_minimum"], 1);
    assert_eq!(export["block_size_preferred"], 16384);
    assert_eq!(export["block_size_maximum"], 32 << 20);
    for (flag, value) in [
        ("is_read_only", false),
        ("is_rotational", false),
        ("can_cache", false),
        ("can_df", true),
        ("can_fast_zero", false),
        ("can_flush", true),
        ("can_fua", true),
        ("can_multi_conn", true),
        ("can_trim", true),
        ("can_zero", true),
    ] {
        assert_eq!(export[flag], value, "{flag}");
    }
}

/// Whatever an export is called, stock clients find it by the URI that is printed.
#[test]
fn any_name_is_found_by_its_uri() {
    requires!("nbdinfo", "nbdcopy", "qemu-img");
    const NAMES: [&str; 8] = [
        "iqn.2026-11.example:disk/1",
        "Ünïcode disk",
        "日本語",
        "a?b#c%d&e=f+g",
        "a//b/",
        "..",
        "%2F",
        "\"it's\" \\ $(x) [1] {2} <3> | ~ ^ `",
    ];
    let disk = |_| TestExport::new(Disk::new(1 << 20, 512));
    let unix = Host::new(NAMES.map(|name| (name, disk(name))));
    let tcp = vcp_nbd::Address::Tcp {
        host: "127.0.0.1".into(),
        port: 0,
    };
    let options = vcp_nbd::ServerOptions::default();
    let tcp = Host::with(Some(tcp), options, NAMES.map(|name| (name, disk(name)))).unwrap();
    for (at, name) in NAMES.into_iter().enumerate() {
        for host in [&unix, &tcp] {
            let uri = host.uri(name);
            let info = nbdinfo(&["--json", &uri]);
            assert_eq!(info["exports"][0]["export-name"], name, "{uri}");
            // The URI that libnbd prints leads to the export, too.
            let its = info["exports"][0]["uri"].as_str().unwrap();
            let info = nbdinfo(&["--json", its]);
            assert_eq!(info["exports"][0]["export-name"], name, "{its}");
            let info = run("qemu-img", &["info", "--output=json", &uri]);
            let info: Value = serde_json::from_str(&info).unwrap();
            assert_eq!(info["virtual-size"], 1 << 20, "{uri}");
            let copy = host.file(&format!("copy{at}"));
            run("nbdcopy", &[&uri, copy.to_str().unwrap()]);
            assert_eq!(std::fs::metadata(copy).unwrap().len(), 1 << 20);
        }
    }
    let listed = nbdinfo(&["--json", "--list", &unix.uri(NAMES[0])]);
    let listed = listed["exports"].as_array().unwrap().iter();
    let listed: Vec<_> = listed.map(|e| e["export-name"].as_str().unwrap()).collect();
    assert!(NAMES.iter().all(|name| listed.contains(name)), "{listed:?}");
}

#[test]
fn nbdinfo_lists_exports() {
    requires!("nbdinfo");
    let host = two();
    let info = nbdinfo(&["--json", "--list", &host.uri("")]);
    let exports = info["exports"].as_array().unwrap();
    let told = |i: usize, key: &str| exports[i][key].clone();
    assert_eq!(exports.len(), 2);
    assert_eq!(told(0, "export-name"), "a small/one?");
    assert_eq!(told(0, "is_read_only"), true);
    assert_eq!(told(0, "can_zero"), false);
    assert_eq!(told(0, "block_size_minimum"), 1);
    assert_eq!(told(1, "export-name"), "default");
}

#[test]
fn nbdinfo_maps_it_as_data() {
    requires!("nbdinfo");
    let host = two();
    let map = nbdinfo(&["--json", "--map", &host.uri("a small/one?")]);
    assert_eq!(map.as_array().unwrap().len(), 1);
    assert_eq!(map[0]["length"], 1 << 20);
    assert_eq!(map[0]["type"], 0);
}

#[test]
fn qemu_img_describes_it() {
    requires!("qemu-img");
    let host = two();
    let uri = host.uri("a small/one?");
    let info = run("qemu-img", &["info", "--output=json", &uri]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["virtual-size"], 1 << 20);
    assert_eq!(info["format"], "raw");
}

#[test]
fn an_unknown_export_is_named_so() {
    requires!("nbdinfo", "qemu-img");
    let host = two();
    let complaint = fails("nbdinfo", &[&host.uri("nope")]);
    assert!(complaint.contains("No such file"), "{complaint}");
    let complaint = fails("qemu-img", &["info", &host.uri("nope")]);
    assert!(complaint.contains("no such export"), "{complaint}");
}
