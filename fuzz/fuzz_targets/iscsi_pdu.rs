//! See [`vcp_fuzz::iscsi_pdu`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcp_fuzz::iscsi_pdu::run(data));
