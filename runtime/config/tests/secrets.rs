//! Secrets: their sources, and that nothing shows them.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use vcp_config::{HostConfig, Resolved, Sources};

/// An environment and a file system for the test.
#[derive(Default)]
struct Fake {
    env: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
}

impl Sources for Fake {
    fn env(&self, variable: &str) -> Option<String> {
        self.env.get(variable).map(|v| v.to_string())
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let found = self.files.get(path.to_str().unwrap());
        found
            .map(|v| v.to_string())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn config(uri: &str, keys: &str) -> HostConfig {
    let text = format!(
        "[vcp.d]\nmodule = \"iscsi\"\nnet = {{ link = \"pipe:x\", address = \"10.0.0.2/24\" }}\n\
         [vcp.d.config]\ntarget = \"{uri}\"\n{keys}\n"
    );
    HostConfig::parse(Path::new("host.toml"), &text).unwrap()
}

fn resolve(config: &HostConfig, sources: &Fake) -> Result<Resolved, String> {
    let vcp = &config.vcps["d"];
    vcp.settings
        .resolve(&vcp.module, sources)
        .map_err(|e| e.to_string())
}

fn pairs(config: &HostConfig, sources: &Fake) -> Vec<String> {
    let resolved = resolve(config, sources).unwrap();
    resolved
        .into_pairs()
        .into_iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect()
}

const PLAIN: &str = "iscsi://10.0.0.1/iqn.a:b/0";

fn environment(sources: &[(&'static str, &'static str)]) -> Fake {
    Fake {
        env: sources.iter().copied().collect(),
        ..Fake::default()
    }
}

#[test]
fn come_out_of_the_uri() {
    let config = config("iscsi://joe%a%40b@10.0.0.1/iqn.a:b/0", "");
    let expected = [
        "password=a@b",
        "target=iscsi://10.0.0.1/iqn.a:b/0",
        "user=joe",
    ];
    assert_eq!(pairs(&config, &Fake::default()), expected);
}

#[test]
fn come_from_the_environment() {
    let env = environment(&[
        ("LIBISCSI_CHAP_USERNAME", "joe"),
        ("LIBISCSI_CHAP_PASSWORD", "one"),
        ("LIBISCSI_CHAP_TARGET_USERNAME", "san"),
        ("LIBISCSI_CHAP_TARGET_PASSWORD", "two"),
    ]);
    let expected = [
        "password=one",
        "target-password=two",
        "target-user=san",
        "target=iscsi://10.0.0.1/iqn.a:b/0",
        "user=joe",
    ];
    let mut found = pairs(&config(PLAIN, ""), &env);
    found.sort();
    assert_eq!(found, expected);
    // The configuration wins over the environment.
    let written = pairs(&config("iscsi://ann%x@10.0.0.1/iqn.a:b/0", ""), &env);
    assert!(
        written.contains(&"user=ann".into()) && written.contains(&"password=x".into()),
        "{written:?}"
    );
}

#[test]
fn the_environment_is_for_the_iscsi_module_alone() {
    let text =
        "[vcp.d]\nmodule = \"ramdisk\"\nconfig = { size = 1024, thin = true, ratio = 0.5 }\n";
    let config = HostConfig::parse(Path::new("host.toml"), text).unwrap();
    let env = environment(&[("LIBISCSI_CHAP_USERNAME", "joe")]);
    assert_eq!(
        pairs(&config, &env),
        ["ratio=0.5", "size=1024", "thin=true"]
    );
}

#[test]
fn come_from_files() {
    let config = config(PLAIN, "user = \"joe\"\npassword-file = \"/etc/secret\"");
    let file = |text| Fake {
        files: [("/etc/secret", text)].into(),
        ..Fake::default()
    };
    assert!(pairs(&config, &file("s3cret\r\nmore\n")).contains(&"password=s3cret".into()));
    let wrong = |sources| resolve(&config, &sources).unwrap_err();
    assert_eq!(
        wrong(Fake::default()),
        "password-file: /etc/secret: entity not found"
    );
    assert_eq!(
        wrong(file("\n")),
        "password-file: /etc/secret: expected a secret of 1 to 4096 bytes in the first line"
    );
}

#[test]
fn half_a_login_is_refused() {
    let wrong =
        |keys: &str, env: &[_]| resolve(&config(PLAIN, keys), &environment(env)).unwrap_err();
    assert_eq!(
        wrong("user = \"joe\"", &[]),
        "password: missing, though \"user\" is given; set it, or LIBISCSI_CHAP_PASSWORD in the environment, or password-file"
    );
    assert_eq!(
        wrong("password = \"x\"", &[]),
        "user: missing, though \"password\" is given; set it, or LIBISCSI_CHAP_USERNAME in the environment"
    );
    assert_eq!(
        wrong("", &[("LIBISCSI_CHAP_USERNAME", "joe")]),
        "password: missing, though \"user\" is given; set it, or LIBISCSI_CHAP_PASSWORD in the environment, or password-file"
    );
    assert_eq!(
        wrong("target-user = \"san\"", &[]),
        "target-password: missing, though \"target-user\" is given; set it, or LIBISCSI_CHAP_TARGET_PASSWORD in the environment, or target-password-file"
    );
    let mutual = config(
        PLAIN,
        "user = \"joe\"\npassword = \"x\"\ntarget-password = \"y\"",
    );
    assert!(resolve(&mutual, &Fake::default()).is_ok());
    assert_eq!(
        wrong("target-user = \"san\"\ntarget-password = \"x\"", &[]),
        "target-password: needs \"user\" and \"password\" too: a target proves itself only to an initiator that does"
    );
}

#[test]
fn are_never_shown() {
    let config = config(
        "iscsi://joe%hunter2@10.0.0.1/iqn.a:b/0",
        "target-user = \"san\"\ntarget-password = \"hunter2\"",
    );
    let resolved = resolve(&config, &Fake::default()).unwrap();
    for shown in [
        format!("{config:?}"),
        format!("{resolved:?}"),
        config.to_toml(),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(
        config.to_toml().split("[vcp.d.config]\n").nth(1).unwrap(),
        "# password was given and is not shown: set LIBISCSI_CHAP_PASSWORD in the environment or password-file = \"PATH\" here\n\
         target = \"iscsi://10.0.0.1/iqn.a:b/0\"\n\
         # target-password was given and is not shown: set LIBISCSI_CHAP_TARGET_PASSWORD in the environment or target-password-file = \"PATH\" here\n\
         target-user = \"san\"\n\
         user = \"joe\"\n"
    );
    let again = HostConfig::parse(Path::new("dump.toml"), &config.to_toml()).unwrap();
    assert_eq!(again, config.without_secrets());
    assert_ne!(again, config);
}

#[test]
fn come_from_credentials() {
    let config = config(
        PLAIN,
        "user = \"joe\"\npassword-credential = \"disk0-chap\"",
    );
    let given = Fake {
        env: [("CREDENTIALS_DIRECTORY", "/run/credentials/vcp.service")].into(),
        files: [("/run/credentials/vcp.service/disk0-chap", "sesame\n")].into(),
    };
    let expected = [
        "password=sesame",
        "target=iscsi://10.0.0.1/iqn.a:b/0",
        "user=joe",
    ];
    assert_eq!(pairs(&config, &given), expected);
    let dump = config.to_toml();
    assert!(
        dump.contains("password-credential = \"disk0-chap\""),
        "{dump}"
    );
    assert!(!format!("{config:?}{dump}").contains("sesame"));
    let without = resolve(&config, &Fake::default());
    assert_eq!(
        without.unwrap_err(),
        "password-credential: disk0-chap: no CREDENTIALS_DIRECTORY in the environment: the \
         service manager hands over credentials that its unit names (LoadCredential=), to a \
         service that is restarted after \"systemctl daemon-reload\""
    );
    let other = environment(&[("CREDENTIALS_DIRECTORY", "/c")]);
    assert_eq!(
        resolve(&config, &other).unwrap_err(),
        "password-credential: disk0-chap: the service was not given it when it was started: \
         it takes LoadCredential=disk0-chap:FILE in its unit, then \"systemctl daemon-reload\" \
         and \"systemctl restart vcp\""
    );
}

#[test]
fn credentials_have_names_of_files() {
    for name in ["", "..", "a/b", "a b"] {
        let text = format!(
            "[vcp.r]\nmodule = \"ramdisk\"\n[vcp.r.config]\npassword-credential = \"{name}\"\n"
        );
        let error = HostConfig::parse(Path::new("h.toml"), &text)
            .unwrap_err()
            .to_string();
        let expected = format!(
            "h.toml:4:1: vcp.r.config.password-credential: expected the name of a credential, \
             up to 255 characters without \"/\", found \"{name}\""
        );
        assert_eq!(error, expected);
    }
}
