//! Linux's target in the kernel, in a machine at the other end of a lab's wire. It is
//! set up through configfs, without the programs that others use for that, so that
//! names and numbers reach it as they are written here.
//!
//! Booting takes longer than most tests: those who want the machine while another
//! test has it wait for their turn, and get the same one. The last one ends it.

use std::fmt::Write as _;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::Lab;
use crate::offer::{Offer, UNIT};
use crate::process::Outcome;
use crate::vm::Vm;

/// How long a script may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The machine, for as long as it is one test's turn.
#[derive(Debug)]
pub struct Lio {
    // Before the turn: who waits may boot another only when this one has ended.
    keeper: Arc<Keeper>,
    _turn: MutexGuard<'static, ()>,
}

impl Lio {
    /// The machine in its lab, which nobody can log in to yet. `agent` as for
    /// [`Vm::boot`].
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn take(agent: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let keeper = Keeper::current(agent);
        // A test that failed in its turn is over.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            keeper,
            _turn: turn,
        }
    }

    /// The lab that it is in, at the other end of whose wire it is.
    #[must_use]
    pub fn lab(&self) -> Arc<Lab> {
        Arc::clone(&self.keeper.lab)
    }

    /// Ends every session and offers this, on every address of the machine. Units that
    /// it has had before keep what is in them until [`Self::forget`].
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn offer(&self, offer: &Offer) {
        self.run(&format!("{CLEAR}{}", script(offer)));
    }

    /// Ends every session; nothing is offered, and no unit keeps anything.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn forget(&self) {
        self.run(&format!("{CLEAR}\nrm -f /dev/shm/*"));
    }

    fn run(&self, script: &str) {
        let (answer, answered) = mpsc::channel();
        let script = format!("set -e\n{script}");
        let sent = self.keeper.asks.as_ref().map(|asks| {
            let asks = asks.lock().unwrap_or_else(PoisonError::into_inner);
            asks.send((script.clone(), answer))
        });
        let sent = sent.is_some_and(|sent| sent.is_ok());
        let outcome = sent.then(|| answered.recv().ok()).flatten();
        outcome
            .expect("the machine is there")
            .expect_success(&script);
    }
}

type Ask = (String, Sender<Outcome>);

/// Whoever started a process and ends takes it along, so the machine has a thread of
/// its own, which lasts as long as there is somebody who has or wants the machine.
#[derive(Debug)]
struct Keeper {
    asks: Option<Mutex<Sender<Ask>>>,
    thread: Option<JoinHandle<()>>,
    lab: Arc<Lab>,
}

impl Keeper {
    /// The one there is, or a new one.
    fn current(agent: &str) -> Arc<Self> {
        static CURRENT: Mutex<Weak<Keeper>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = current.upgrade()
            && keeper.thread.as_ref().is_some_and(|it| !it.is_finished())
        {
            return keeper;
        }
        let keeper = Arc::new(Self::boot(agent));
        *current = Arc::downgrade(&keeper);
        keeper
    }

    fn boot(agent: &str) -> Self {
        let lab = Arc::new(Lab::new());
        let (asks, asked) = mpsc::channel::<Ask>();
        let (booted, up) = mpsc::channel();
        let (agent, theirs) = (agent.to_owned(), Arc::clone(&lab));
        let keep = move || {
            let mut vm = Vm::boot_target(&agent, &theirs);
            let _ = booted.send(());
            for (script, answer) in asked {
                let _ = answer.send(vm.ask(&script, LIMIT));
            }
            vm.shut_down();
        };
        let thread = std::thread::Builder::new().name("lio".to_owned());
        let thread = thread.spawn(keep).expect("a thread");
        up.recv().expect("the machine comes up; see above");
        Self {
            asks: Some(Mutex::new(asks)),
            thread: Some(thread),
            lab,
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The thread goes on until nobody can ask.
        self.asks = None;
        let ended = self.thread.take().map(JoinHandle::join);
        let well = ended.is_none_or(|ended| ended.is_ok());
        assert!(
            well || std::thread::panicking(),
            "the machine has not ended well; see above"
        );
    }
}

/// Ends every session and forgets what was offered; with nothing there it does nothing.
const CLEAR: &str = r"
cd /sys/kernel/config/target
for tpg in iscsi/*/tpgt_1; do
    [ -d $tpg ] || continue
    echo 0 > $tpg/enable
    for lun in $tpg/lun/lun_*; do
        [ -d $lun ] || continue
        for link in $lun/*; do if [ -L $link ]; then rm $link; fi; done
        rmdir $lun
    done
    for np in $tpg/np/*; do rmdir $np; done
    rmdir $tpg ${tpg%/tpgt_1}
done
for unit in core/fileio_*/*; do
    if [ -f $unit/enable ]; then rmdir $unit; fi
done
";

fn script(offer: &Offer) -> String {
    let tpg = format!("iscsi/{}/tpgt_1", offer.name);
    let mut script = format!("mkdir -p iscsi core/fileio_0 {tpg}\n");
    for unit in &offer.units {
        let (number, serial) = (unit.number, unit.serial());
        let _ = write!(
            script,
            "[ -f /dev/shm/{serial} ] || truncate -s {UNIT} /dev/shm/{serial}\n\
             mkdir core/fileio_0/{serial}\n\
             echo fd_dev_name=/dev/shm/{serial},fd_dev_size={UNIT} > core/fileio_0/{serial}/control\n\
             echo {serial} > core/fileio_0/{serial}/wwn/vpd_unit_serial\n\
             echo 1 > core/fileio_0/{serial}/enable\n\
             mkdir {tpg}/lun/lun_{number}\n\
             ln -s core/fileio_0/{serial} {tpg}/lun/lun_{number}/unit\n"
        );
    }
    // Whoever logs in gets every unit and may write.
    let mut set = |attribute: &str, value: &str| {
        let _ = writeln!(script, "echo -n {value} > {tpg}/{attribute}");
    };
    set("attrib/generate_node_acls", "1");
    set("attrib/demo_mode_write_protect", "0");
    match offer.account {
        Some((user, secret)) => {
            set("attrib/authentication", "1");
            set("auth/userid", user);
            set("auth/password", secret);
        }
        None => set("attrib/authentication", "0"),
    }
    let _ = write!(
        script,
        "mkdir {tpg}/np/0.0.0.0:3260\n\
         echo 1 > {tpg}/enable\n"
    );
    script
}
