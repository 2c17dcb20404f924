//! An iSCSI initiator without I/O.
