//! See [`vcp_fuzz::target`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcp_fuzz::target::run(data));
