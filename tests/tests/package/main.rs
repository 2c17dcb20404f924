//! The Debian package, as `cargo xtask deb` has built it, and its unit.

mod contents;
mod manuals;
mod scripts;
mod unit;

use std::path::{Path, PathBuf};

use vcp_tests::lab::Scratch;
use vcp_tests::process::must;
use vcp_tests::vcp::binary;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/cli/package")
}

/// The package, or a line that says that it was not built.
fn package() -> Option<PathBuf> {
    let built = binary().parent()?.parent()?.join("debian/vcp.deb");
    if !built.is_file() {
        println!(
            "skipped: package: no {}: cargo xtask deb makes it",
            built.display()
        );
        return None;
    }
    Some(built)
}

/// All of the package: its files, and in `DEBIAN` what is said about them.
fn unpacked(package: &Path, scratch: &Scratch) -> PathBuf {
    let root = scratch.path().join("root");
    let (deb, at) = (package.display().to_string(), root.display().to_string());
    must("dpkg-deb", &["-R", &deb, &at]);
    root
}
