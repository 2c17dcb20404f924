//! Builds the guests with the profile `guest`, as `runtime/builtin` does, and
//! leaves the components where `src/lib.rs` includes them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Built together, and so with the same features: those that use `std` apart from
/// those that bring an allocator of their own.
const GROUPS: [&[&str]; 2] = [
    &["vcp-misbehave-device", "vcp-misbehave-processor"],
    &["vcp-misbehave-wasi"],
];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = manifest.join("../..");
    for watched in ["tests/guests", "vcp-modules/sdk", "wit", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(watched).display());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    // `OUT_DIR` is `<target>/<profile>/build/<name>/out`.
    let target = out.ancestors().nth(4);
    let directory = target.expect("four levels down").join("guests");
    for group in GROUPS {
        build(&root, &directory, group);
        for package in group {
            let file = package.replace('-', "_") + ".wasm";
            let built = directory.join(TARGET).join("guest").join(&file);
            fs::copy(&built, out.join(&file))
                .unwrap_or_else(|e| panic!("copying {}: {e}", built.display()));
        }
    }
}

fn variable(name: &str) -> std::ffi::OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts"))
}

fn build(root: &Path, directory: &Path, group: &[&str]) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(root)
        .args(["build", "--profile", "guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(directory);
    for package in group {
        cargo.args(["--package", package]);
    }
    // What was set for the host's build is not meant for the guests'.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let set =
            ["CARGO_TARGET_DIR", "RUSTC"].contains(&&*name) || name.starts_with("CARGO_FEATURE_");
        if set || name.ends_with("RUSTFLAGS") || name.contains("WRAPPER") {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .status()
        .unwrap_or_else(|e| panic!("running cargo for the guests: {e}"));
    assert!(status.success(), "building {group:?} for {TARGET} failed");
}
