//! A tree of files written in a machine, and the moments at which it is written
//! so far.

use std::time::Duration;

use vcp_tests::vm::Vm;
use vcp_tests::vm::session::Job;

/// Where disks are mounted.
pub(crate) const MOUNT: &str = "/mnt";
/// Where the writer tells how far it is.
const PROGRESS: &str = "/tmp/progress";

/// So many files with contents that follow from their number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    files: u32,
}

/// A tree being written.
pub(crate) struct Writing {
    job: Job,
    tree: Tree,
}

impl Tree {
    pub(crate) fn new(files: u32) -> Self {
        Self { files }
    }

    /// Starts writing, into the mount.
    pub(crate) fn write(self, vm: &mut Vm) -> Writing {
        vm.run(&format!("echo 0 > {PROGRESS}"));
        let files = self.files;
        let job = vm.start_job(&format!("vm-agent tree write {MOUNT} {files} 1 {PROGRESS}"));
        Writing { job, tree: self }
    }

    /// Reads all of it; returns what the writer returned if it is the same.
    pub(crate) fn check(self, vm: &mut Vm) -> String {
        let script = format!("vm-agent tree check {MOUNT} {} 1", self.files);
        vm.ask(&script, self.limit())
            .expect_success("checking a tree")
    }

    /// Far above what it takes: it is there to end a hang.
    fn limit(self) -> Duration {
        Duration::from_secs(120) + Duration::from_millis(100) * self.files
    }
}

impl Writing {
    /// Waits until `part` of `parts` is written. More must be to come: what then
    /// happens to the disk is to happen to one in use.
    pub(crate) fn until(&self, vm: &mut Vm, part: u32, parts: u32) {
        let wanted = self.tree.files * part / parts;
        let script = format!(
            "while [ \"$(cat {PROGRESS})\" -lt {wanted} ] 2> /dev/null || \
                   [ -z \"$(cat {PROGRESS})\" ]; do usleep 20000; done"
        );
        let waited = vm.ask(&script, self.tree.limit());
        waited.expect_success("waiting for a writer");
        let ended = vm.try_end(self.job);
        assert!(ended.is_none(), "the writer has ended: {ended:?}");
    }

    /// Waits for the end; the number of files and bytes and their checksum.
    pub(crate) fn end(self, vm: &mut Vm) -> String {
        let outcome = vm.end(self.job, self.tree.limit());
        print!("{}", outcome.stderr);
        outcome.expect_success("writing a tree")
    }
}
