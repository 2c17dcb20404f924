//! Everything a guest says is hostile. Each fault of the guests in `tests/guests`
//! has a test here: a violation is a fault of that VCP and never of the host,
//! nothing hangs, and what was asked is answered.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod clocks;
mod device;
mod frames;
mod handover;
mod neighbours;
mod recovery;
mod scenario;
mod streams;
mod wasi;

/// Makes one test of each fault, and a test that none is missing.
macro_rules! cases {
    ($faults:expr, $($(#[$meta:meta])* $name:ident => $outcome:expr;)*) => {
        $(
            #[test]
            $(#[$meta])*
            fn $name() {
                $outcome(&stringify!($name).replace('_', "-"));
            }
        )*

        #[test]
        fn every_fault_has_a_test() {
            let mut tested = vec![$(stringify!($name).replace('_', "-")),*];
            let mut faults = $faults.to_vec();
            tested.sort_unstable();
            faults.sort_unstable();
            assert_eq!(tested, faults);
        }
    };
}
pub(crate) use cases;
