//! Builds the guests that ship inside the host, with the profile `guest`, and
//! leaves the components where `src/lib.rs` includes them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Package, and the name it is known by. Those of one group are built together
/// and share the features of what they stand on; those that use `std` can't share
/// with those that bring an allocator of their own.
const GROUPS: [&[(&str, &str)]; 2] = [
    &[
        ("vcp-module-iscsi", "iscsi"),
        ("vcp-module-ramdisk", "ramdisk"),
    ],
    &[("vcp-module-file", "file")],
];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = manifest
        .ancestors()
        .nth(2)
        .expect("this crate lies two levels down")
        .to_owned();
    let out = PathBuf::from(variable("OUT_DIR"));
    for watched in [
        "vcp-modules",
        "wit",
        "Cargo.lock",
        "Cargo.toml",
        "rust-toolchain.toml",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(watched).display());
    }
    let directory = target_directory(&out).join("guests");
    for group in GROUPS {
        build(&root, &directory, group);
    }
    for (package, name) in GROUPS.into_iter().flatten() {
        let built = directory
            .join(TARGET)
            .join("guest")
            .join(package.replace('-', "_") + ".wasm");
        let kept = out.join(name).with_extension("wasm");
        fs::copy(&built, &kept)
            .unwrap_or_else(|e| panic!("copying {} to {}: {e}", built.display(), kept.display()));
    }
}

fn variable(name: &str) -> std::ffi::OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts"))
}

/// The target directory this build writes to, so that the guests are built once
/// for all profiles of the host: `OUT_DIR` is `<target>/<profile>/build/<name>/out`.
fn target_directory(out: &Path) -> &Path {
    out.ancestors()
        .nth(4)
        .expect("OUT_DIR lies four levels below the target directory")
}

fn build(root: &Path, directory: &Path, group: &[(&str, &str)]) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args([
        "build",
        "--profile",
        "guest",
        "--target",
        TARGET,
        "--target-dir",
    ]);
    cargo.arg(directory);
    for (package, _) in group {
        cargo.args(["--package", package]);
    }
    // What was set for the host's build is not meant for the guests'.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let flags = name.ends_with("RUSTFLAGS") || name.contains("WRAPPER");
        if flags
            || name.starts_with("CARGO_FEATURE_")
            || name == "CARGO_TARGET_DIR"
            || name == "RUSTC"
        {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .status()
        .unwrap_or_else(|e| panic!("running cargo for the guests: {e}"));
    assert!(
        status.success(),
        "building the guests failed; is the target there? `rustup target add {TARGET}`"
    );
}
