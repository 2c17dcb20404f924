//! The configurations of `examples/hosts` can be read, and are printed as files that read
//! back the same.

use std::path::Path;

use vcp_config::HostConfig;

#[test]
fn every_example_is_a_configuration() {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hosts");
    let mut read = 0;
    for entry in std::fs::read_dir(&hosts).expect("examples/hosts is there") {
        let path = entry.expect("it can be listed").path();
        let config = HostConfig::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let printed = HostConfig::parse(Path::new("printed.toml"), &config.to_toml());
        assert_eq!(
            printed.expect("what is printed reads back"),
            config.without_secrets()
        );
        read += 1;
    }
    assert!(read >= 3, "only {read} examples");
}
