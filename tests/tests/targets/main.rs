//! The same questions to targets of three makes: `tgtd`, `istgt`, and the one in
//! Linux's kernel, which runs in a virtual machine at the other end of the wire (see
//! `vcp_tests::lio`). What they have in common is RFC 7143 and SAM-5, and little else:
//! each lists its units, compares names and comes back from an outage in its own way.
//!
//! What is asked is in a module a subject, what for is said there; the tests are here, a
//! module a make, so that those of the machine are run one after the other.

mod bed;
mod identity;
mod interface;
mod lun;
mod names;
mod row;

/// Tests of one make: the name, what else it needs, and what is asked.
macro_rules! tests {
    ($module:ident, $make:ident, $program:tt: $($name:ident [$($need:tt)*] $body:path;)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    vcp_tests::requires!(Root, Tun, $program $(, $need)*);
                    $body(crate::bed::Make::$make);
                }
            )*
        }
    };
}

/// Those of every make.
macro_rules! every_make {
    ($($test:tt)*) => {
        tests!(tgtd, Tgtd, "tgtd": $($test)*);
        tests!(istgt, Istgt, "istgt": $($test)*);
        tests!(lio, Lio, KernelTarget: $($test)*);
    };
}

// iscsi-inq stands for its library here.
every_make! {
    a_high_number_of_a_unit ["qemu-io"] crate::lun::reached;
    a_number_that_is_not_there [] crate::lun::missing;
    names_with_capitals_as_discovered ["qemu-io"] crate::names::as_discovered;
    a_name_typed_in_capitals ["qemu-io"] crate::names::typed_in_capitals;
    a_unit_that_comes_later ["qemu-io"] crate::identity::comes_later;
    another_unit_in_its_place ["qemu-io"] crate::identity::replaced;
    a_unit_that_another_has_reserved ["qemu-io" "iscsi-inq"] crate::identity::reserved;
    verified_load_over_packet ["fio"] crate::row::over_packet;
    verified_load_over_host ["fio"] crate::row::over_host;
}

// The wire to a machine is qemu's, which holds on to it: a bridge stands in front of it.
tests!(lio_bridged, Lio, KernelTarget:
    a_tap_removed_and_made_again ["fio"] crate::interface::bridged_tap;
    a_packet_interface_removed_and_made_again ["fio"] crate::interface::bridged_packet;
);
tests!(tgtd_here, Tgtd, "tgtd":
    a_tap_removed_and_made_again ["fio"] crate::interface::tap;
    a_tap_of_our_own_removed ["fio"] crate::interface::own_tap;
    a_packet_interface_removed_and_made_again ["fio"] crate::interface::packet;
);
tests!(istgt_here, Istgt, "istgt":
    a_tap_removed_and_made_again ["fio"] crate::interface::tap;
    a_tap_of_our_own_removed ["fio"] crate::interface::own_tap;
    a_packet_interface_removed_and_made_again ["fio"] crate::interface::packet;
);
