//! See [`vcp_fuzz::initiator`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcp_fuzz::initiator::run(data));
