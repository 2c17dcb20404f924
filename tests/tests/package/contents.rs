//! What is in the package, and what it says about that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use vcp_tests::lab::Scratch;
use vcp_tests::process::{command, must, run};
use vcp_tests::requires;

use crate::{package, packaging, unpacked};

#[test]
fn the_package_has_everything_in_its_place() {
    requires!("dpkg-deb");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let root = unpacked(&package, &scratch);
    for file in [
        "usr/bin/vcp",
        "etc/vcp/host.toml",
        "etc/vcp/conf.d/README",
        "usr/share/doc/vcp/examples/links.conf",
        "usr/share/doc/vcp/examples/attach.conf",
        "usr/share/doc/vcp/examples/refuse-stop.conf",
        "usr/share/doc/vcp/examples/vcp-disk0.socket",
        "usr/lib/systemd/system/vcp-left.service",
        "usr/share/doc/vcp/changelog.gz",
        "usr/share/doc/vcp/copyright",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let units = ["usr/lib/systemd/system", "lib/systemd/system"].map(|dir| root.join(dir));
    let unit = units
        .iter()
        .map(|dir| dir.join("vcp.service"))
        .find(|unit| unit.is_file());
    let unit = fs::read_to_string(unit.expect("there is a unit")).expect("it is readable");
    let ours = fs::read_to_string(packaging().join("vcp.service")).expect("it is there");
    assert_eq!(unit, ours);
    let conffiles = fs::read_to_string(root.join("DEBIAN/conffiles")).expect("it has some");
    let conffiles: BTreeSet<&str> = conffiles.lines().collect();
    let expected = BTreeSet::from(["/etc/vcp/conf.d/README", "/etc/vcp/host.toml"]);
    assert_eq!(conffiles, expected, "what is in /etc is the operator's");
    let installed = must(
        &root.join("usr/bin/vcp").display().to_string(),
        &["--version"],
    );
    assert!(installed.starts_with("vcp "), "{installed}");
    let config = root.join("etc/vcp/host.toml").display().to_string();
    let mut dump = command(root.join("usr/bin/vcp"));
    dump.args(["host", "--dump-config", "--config", &config]);
    let limit = Duration::from_secs(30);
    let _ = run(dump, scratch.path(), limit).expect_success("the configuration as installed");
}

/// cargo-deb leaves some out.
#[test]
fn the_package_depends_on_every_library_of_the_program() {
    requires!("dpkg-deb", "dpkg-shlibdeps");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let root = unpacked(&package, &scratch);
    fs::create_dir(scratch.path().join("debian")).expect("making a directory");
    fs::write(scratch.path().join("debian/control"), "").expect("writing a file");
    let mut find = command("dpkg-shlibdeps");
    find.arg("-O").arg(root.join("usr/bin/vcp"));
    find.current_dir(scratch.path());
    let limit = Duration::from_secs(30);
    let found = run(find, scratch.path(), limit).expect_success("dpkg-shlibdeps");
    let found = found.trim().strip_prefix("shlibs:Depends=").expect("that");
    let depends = field(&package, "Depends");
    let depends: BTreeSet<&str> = depends.split(", ").collect();
    for library in found.split(", ") {
        assert!(depends.contains(library), "{library} is not in {depends:?}");
    }
}

#[test]
fn the_changelog_is_that_of_the_packages_version() {
    requires!("dpkg-deb", "gzip");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let root = unpacked(&package, &scratch);
    let file = root.join("usr/share/doc/vcp/changelog.Debian.gz");
    let changelog = must("gzip", &["-dc", &file.display().to_string()]);
    let newest = format!("vcp ({}) ", field(&package, "Version"));
    assert!(changelog.starts_with(&newest), "{changelog}");
}

#[test]
fn lintian_finds_nothing() {
    requires!("lintian");
    let Some(package) = package() else { return };
    let scratch = Scratch::new();
    let mut lintian = command("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    lintian.arg(&package);
    let outcome = run(lintian, scratch.path(), Duration::from_secs(120));
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, ""));
}

/// What the package says of itself.
fn field(package: &Path, name: &str) -> String {
    let value = must("dpkg-deb", &["-f", &package.display().to_string(), name]);
    value.trim().to_owned()
}
