//! Another initiator that reserves a unit for itself, by libiscsi: while its session
//! lasts, most commands of others draw RESERVATION CONFLICT (SPC-2 §7.21).

use std::time::Duration;

use crate::lab::{Lab, Side};
use crate::process::{Running, poll};

/// The library that the programs of libiscsi stand on; its calls that do one thing and
/// wait, by hand, as there is no program for this.
const SCRIPT: &str = "\
import ctypes, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
portal, target, lun = sys.argv[1].encode(), sys.argv[2].encode(), int(sys.argv[3])
lib = ctypes.CDLL('libiscsi.so.7')
lib.iscsi_create_context.restype = ctypes.c_void_p
lib.iscsi_reserve6_sync.restype = ctypes.POINTER(ctypes.c_int)
lib.iscsi_get_error.restype = ctypes.c_char_p
context = ctypes.c_void_p(lib.iscsi_create_context(b'iqn.2026-11.test:rival'))
lib.iscsi_set_targetname(context, target)
lib.iscsi_set_session_type(context, 2)
if lib.iscsi_full_connect_sync(context, portal, lun) != 0:
    sys.exit(lib.iscsi_get_error(context))
task = lib.iscsi_reserve6_sync(context, lun)
if not task or task[0] != 0:
    sys.exit(lib.iscsi_get_error(context))
print('reserved', flush=True)
signal.sigwait([signal.SIGTERM])
lib.iscsi_release6_sync.restype = ctypes.POINTER(ctypes.c_int)
lib.iscsi_release6_sync(context, lun)
";

/// See the module.
#[derive(Debug)]
pub struct Rival {
    process: Running,
}

impl Rival {
    /// Reserves a unit of `target` at `portal`, from a namespace whose kernel has a way
    /// there.
    ///
    /// # Panics
    /// When the target refuses.
    #[must_use]
    pub fn reserve(lab: &Lab, side: Side, portal: &str, target: &str, lun: u32) -> Self {
        // Debian's own interpreter, as in other tests.
        let mut command = lab.command(side, "/usr/bin/python3");
        command.args(["-c", SCRIPT, portal, target, &lun.to_string()]);
        let mut process = Running::start(command, lab.dir(), "rival");
        let has_it = poll(Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "the rival ended: {}", process.stderr());
            process.stdout().contains("reserved").then_some(())
        });
        assert!(
            has_it.is_some(),
            "nothing is reserved: {}",
            process.stderr()
        );
        Self { process }
    }

    /// Gives the unit back. With some targets a reservation outlasts the session.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn release(self) {
        self.process.signal(rustix::process::Signal::TERM);
        let outcome = self.process.outcome(Duration::from_secs(20));
        outcome.expect_success("the rival");
    }
}
