//! Builds the guests that ship inside the host, for `src/lib.rs` to include.

fn main() {
    vcp_guest_build::components(
        &[&["vcp-module-iscsi", "vcp-module-ramdisk", "vcp-module-file"]],
        &["vcp-modules"],
    );
}
