//! Builds the guests with deliberate faults, for `src/lib.rs` to include.

fn main() {
    vcp_guest_build::components(
        &[
            &["vcp-misbehave-device", "vcp-misbehave-processor"],
            &["vcp-misbehave-wasi"],
        ],
        &["tests/guests"],
    );
}
