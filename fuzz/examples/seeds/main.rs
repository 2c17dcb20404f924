//! Writes what the fuzzers start from into `corpus`: one file per kind of input, made
//! of real exchanges. Run it after an input's format has changed:
//! `cargo run --example seeds`.

mod config;
mod initiator;
mod iscsi_pdu;
mod moved;
mod nbd_server;
mod target;

use std::path::Path;

/// Collects the seeds of one target.
pub(crate) struct Seeds {
    dir: std::path::PathBuf,
}

impl Seeds {
    fn of(target: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target);
        std::fs::create_dir_all(&dir).expect("the corpus can be written");
        Self { dir }
    }

    /// One input; the extension tells git that it is to be kept.
    pub(crate) fn add(&self, name: &str, parts: &[&[u8]]) {
        let path = self.dir.join(name).with_extension("seed");
        std::fs::write(path, parts.concat()).expect("the corpus can be written");
    }
}

fn main() {
    config::write(&Seeds::of("config"));
    initiator::write_all(&Seeds::of("initiator"));
    iscsi_pdu::write(&Seeds::of("iscsi_pdu"));
    moved::write_all(&Seeds::of("moved"));
    nbd_server::write(&Seeds::of("nbd_server"));
    target::write_all(&Seeds::of("target"));
}
