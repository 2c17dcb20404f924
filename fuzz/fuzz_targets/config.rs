//! See [`vcp_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcp_fuzz::config::run(data));
