//! Builds guests of this workspace from the build scripts of those that include
//! them. For build scripts only.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";

/// Builds packages with the profile `guest`, and leaves their components in
/// `OUT_DIR`, as `package_name.wasm`.
///
/// Those of one group are built together and share the features of what they stand
/// on; those that use `std` can't share with those that bring an allocator of their
/// own. `watched` are files and directories of the workspace whose changes matter;
/// what all guests stand on is among them already.
///
/// # Panics
/// If anything goes wrong: it is how a build script says so.
pub fn components(groups: &[&[&str]], watched: &[&str]) {
    let root = workspace();
    let common = [
        "vcp-modules/sdk",
        "wit",
        "Cargo.lock",
        "Cargo.toml",
        "rust-toolchain.toml",
    ];
    for path in common.iter().chain(watched) {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let directory = target_directory(&out).join("guests");
    for group in groups {
        build(&root, &directory, group);
        for package in *group {
            let file = package.replace('-', "_") + ".wasm";
            let built = directory.join(TARGET).join("guest").join(&file);
            fs::copy(&built, out.join(&file))
                .unwrap_or_else(|e| panic!("copying {}: {e}", built.display()));
        }
    }
}

fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2);
    root.expect("this crate lies two levels down").to_owned()
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts"))
}

/// The target directory this build writes to, so that the guests are built once
/// for all profiles of the host: `OUT_DIR` is `<target>/<profile>/build/<name>/out`.
fn target_directory(out: &Path) -> &Path {
    out.ancestors()
        .nth(4)
        .expect("OUT_DIR lies four levels below the target directory")
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
    assert!(
        status.success(),
        "building {group:?} failed; is the target there? `rustup target add {TARGET}`"
    );
}
