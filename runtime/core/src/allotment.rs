//! How much memory an instance may have: what its operator gave it, or what its module
//! asks for at its start.

use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};

/// What an instance may have beside its linear memory. A component of these
/// worlds has a few of each.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;
const MAX_PARTS: usize = 64;

/// The default limit of linear memory, in bytes, where neither operator nor module set one.
pub(crate) const DEFAULT: usize = 64 << 20;

/// The largest 32-bit memory, in bytes.
const MOST: u64 = 4 << 30;

/// The limits of a store, and the growth that they last refused.
pub(crate) struct Limiter {
    limits: StoreLimits,
    /// The most linear memory, in bytes.
    pub(crate) memory: usize,
    /// The limit that the operator set, in bytes.
    given: Option<usize>,
    /// What its module asked for and got, in bytes.
    requested: usize,
    /// The size of linear memory that it was last refused, in bytes.
    pub(crate) refused: Option<usize>,
}

impl Limiter {
    /// Makes the limits of an instance whose module has asked for nothing yet.
    pub(crate) fn new(given: Option<usize>) -> Self {
        let mut limiter = Self {
            limits: StoreLimits::default(),
            memory: 0,
            given: None,
            requested: DEFAULT,
            refused: None,
        };
        limiter.set_given(given);
        limiter
    }

    /// Sets the operator's limit; `None` leaves it to the module. Memory in use is kept.
    pub(crate) fn set_given(&mut self, given: Option<usize>) {
        self.given = given;
        self.memory = given.unwrap_or(self.requested);
        self.limits = StoreLimitsBuilder::new()
            .memory_size(self.memory)
            .table_elements(MAX_TABLE_ELEMENTS)
            .instances(MAX_PARTS)
            .tables(MAX_PARTS)
            .memories(MAX_PARTS)
            .build();
    }

    /// Grants the module `bytes` of linear memory in all, if it may have that much. The
    /// error is one line with what it asked for and what it can have.
    pub(crate) fn request(&mut self, bytes: u64) -> Result<(), String> {
        self.request_of(bytes, spare())
    }

    fn request_of(&mut self, bytes: u64, spare: Option<Spare>) -> Result<(), String> {
        if bytes <= self.memory as u64 {
            return Ok(());
        }
        let needed = mebibytes(bytes);
        if bytes > MOST {
            return Err(format!(
                "needs {needed} of memory; a module has 4096MiB at most"
            ));
        }
        if let Some(given) = self.given {
            let given = given >> 10;
            return Err(format!(
                "needs {needed} of memory; it may have {given}KiB (`memory`)"
            ));
        }
        if let Some(spare) = spare.filter(|spare| bytes > spare.bytes) {
            let Spare { bytes, whose } = spare;
            let spare = bytes >> 20;
            return Err(format!(
                "needs {needed} of memory; half of what {whose} has to spare is {spare}MiB \
                 (`memory` lets it have more)"
            ));
        }
        self.requested = bytes as usize;
        self.set_given(None);
        Ok(())
    }
}

/// Bytes as mebibytes, rounded up.
fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

/// The most memory that a module may ask for where its operator set no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spare {
    bytes: u64,
    /// The owner of the free memory, of which `bytes` is half.
    whose: &'static str,
}

/// Half of the memory that the kernel says can be had without swapping, or of what the
/// control groups of this process leave it, if that is less; `None` where it says neither.
fn spare() -> Option<Spare> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = meminfo.as_deref().and_then(available);
    half(machine, vcp_topology::cgroup::memory_left())
}

fn half(machine: Option<u64>, group: Option<u64>) -> Option<Spare> {
    let of = |bytes: u64, whose| Spare {
        bytes: bytes / 2,
        whose,
    };
    let machine = machine.map(|bytes| of(bytes, "this machine"));
    let group = group.map(|bytes| of(bytes, "the host's control group"));
    let both = [machine, group].into_iter().flatten();
    both.min_by_key(|spare| spare.bytes)
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let rest = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        if !granted {
            self.refused = Some(desired);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn holds(limiter: &mut Limiter, bytes: u64) -> bool {
        limiter.memory_growing(0, bytes as usize, None).unwrap()
    }

    #[test]
    fn tables_and_memories_have_limits() {
        let mut limiter = Limiter::new(Some(1 << 20));
        assert!(holds(&mut limiter, MIB));
        assert!(!holds(&mut limiter, MIB + 1));
        assert_eq!(limiter.refused, Some((1 << 20) + 1));
        let mut table = |elements| limiter.table_growing(0, elements, None).unwrap();
        assert!(table(MAX_TABLE_ELEMENTS));
        assert!(!table(MAX_TABLE_ELEMENTS + 1));
    }

    #[test]
    fn a_module_has_what_it_asks_for_as_far_as_there_is_some_to_spare() {
        let mut limiter = Limiter::new(None);
        assert!(holds(&mut limiter, 64 * MIB) && !holds(&mut limiter, 65 * MIB));
        let spare = half(Some(2000 * MIB), None);
        assert_eq!(limiter.request_of(10 * MIB, spare), Ok(()));
        assert_eq!(limiter.memory as u64, 64 * MIB);
        assert_eq!(limiter.request_of(1000 * MIB, spare), Ok(()));
        assert!(holds(&mut limiter, 1000 * MIB) && !holds(&mut limiter, 1000 * MIB + 1));
        assert_eq!(
            limiter.request_of(1000 * MIB + 1, spare).unwrap_err(),
            "needs 1001MiB of memory; half of what this machine has to spare is 1000MiB \
             (`memory` lets it have more)"
        );
        assert_eq!(limiter.request_of(3000 * MIB, None), Ok(()));
        assert!(limiter.request_of(4097 * MIB, None).is_err());
        assert!(limiter.request_of(u64::MAX, spare).is_err());
    }

    #[test]
    fn a_control_group_that_leaves_less_than_the_machine_is_the_bound() {
        let spare = half(Some(2000 * MIB), Some(300 * MIB));
        assert_eq!(
            Limiter::new(None).request_of(151 * MIB, spare).unwrap_err(),
            "needs 151MiB of memory; half of what the host's control group has to spare is 150MiB \
             (`memory` lets it have more)"
        );
        assert_eq!(Limiter::new(None).request_of(150 * MIB, spare), Ok(()));
        let machine = Some(Spare {
            bytes: 1000 * MIB,
            whose: "this machine",
        });
        assert_eq!(half(Some(2000 * MIB), Some(3000 * MIB)), machine);
        assert_eq!(half(None, Some(2)).map(|spare| spare.bytes), Some(1));
        assert_eq!(half(None, None), None);
    }

    #[test]
    fn what_an_operator_gave_is_the_bound() {
        let mut limiter = Limiter::new(Some(100 << 20));
        let (none, much) = (half(Some(0), None), half(Some(2000 * MIB), None));
        assert_eq!(limiter.request_of(100 * MIB, none), Ok(()));
        assert_eq!(
            limiter.request_of(101 * MIB, much).unwrap_err(),
            "needs 101MiB of memory; it may have 102400KiB (`memory`)"
        );
        // When the operator lifts the limit, the module has what it asked for.
        let mut limiter = Limiter::new(None);
        assert_eq!(limiter.request_of(200 * MIB, much), Ok(()));
        limiter.set_given(Some(80 << 20));
        assert!(!holds(&mut limiter, 81 * MIB));
        limiter.set_given(None);
        assert!(holds(&mut limiter, 200 * MIB));
    }

    #[test]
    fn the_kernel_says_what_it_can_spare() {
        let meminfo =
            "MemTotal:  24 kB\nMemFree: 1 kB\nMemAvailable:   23456789 kB\nBuffers: 1 kB\n";
        assert_eq!(available(meminfo), Some(23_456_789 * 1024));
        assert_eq!(available("MemTotal: 24 kB\n"), None);
        assert_eq!(available("MemAvailable: lots\n"), None);
    }
}
