use super::*;
use proptest::prelude::*;

fn uri(text: &str) -> IscsiUri {
    text.parse().unwrap()
}

#[test]
fn reads_every_part() {
    let full = uri("iscsi://joe%p%40ss%25@[fd00::1]:3261/iqn.2026-11.example:disk/7");
    let login = full.login.clone().unwrap();
    assert_eq!(login.user, "joe");
    assert_eq!(login.password.unwrap().expose(), "p@ss%");
    assert_eq!(
        full.portal.host,
        PortalHost::Address("fd00::1".parse().unwrap())
    );
    assert_eq!((full.portal.port, full.lun), (3261, 7));
    assert_eq!(full.target, "iqn.2026-11.example:disk");

    let short = uri("iscsi://san.example/iqn.x%20y:z/0"
        .replace("%20", "")
        .as_str());
    assert_eq!(short.portal.host, PortalHost::Name("san.example".into()));
    assert_eq!(short.portal.port, DEFAULT_PORT);
    assert_eq!(short.login, None);
}

#[test]
fn shows_no_password() {
    let with = uri("iscsi://joe%hunter22@10.0.0.1/iqn.a:b/0");
    assert_eq!(with.to_string(), "iscsi://joe%***@10.0.0.1/iqn.a:b/0");
    assert!(!format!("{with:?}").contains("hunter22"));
    assert_eq!(
        with.without_login().to_string(),
        "iscsi://10.0.0.1/iqn.a:b/0"
    );
}

#[test]
fn no_error_repeats_a_password() {
    for bad in [
        "iscsi://joe%hunter%22@h/iqn.a/0/",
        "iscsi://joe%hunter2%@h/iqn.a/0",
        "iscsi://joe%hunter2/x@h/iqn.a/0",
        "iscsi://joe%hunter2@x@h/iqn.a/0",
        "iscsi:joe%hunter2@h/iqn.a/0",
        "iscsi://joe%hunter2@h",
        "iscsi://joe%hunter2@h:0/iqn.a/0",
        "iscsi://%hunter2@h/iqn.a/0",
    ] {
        let error = bad.parse::<IscsiUri>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{bad}: {error}");
    }
}

#[test]
fn names_the_wrong_part() {
    let error = |text: &str| text.parse::<IscsiUri>().unwrap_err();
    assert_eq!(error("http://x/iqn.a/0"), UriError::Scheme);
    assert_eq!(error("iscsi://x"), UriError::Path);
    assert_eq!(error("iscsi://x/iqn.a"), UriError::Path);
    assert_eq!(
        error("iscsi://::1/iqn.a/0"),
        UriError::Host("\"::1\"".into())
    );
    assert_eq!(
        error("iscsi://10.0.0/iqn.a/0"),
        UriError::Host("\"10.0.0\"".into())
    );
    assert_eq!(error("iscsi:///iqn.a/0"), UriError::Host("\"\"".into()));
    assert_eq!(
        error("iscsi://x:99999/iqn.a/0"),
        UriError::Port("\":99999\"".into())
    );
    assert_eq!(
        error("iscsi://x/disk/0"),
        UriError::Target("\"disk\"".into())
    );
    assert_eq!(
        error("iscsi://x/iqn.a%zz/0"),
        UriError::Target("\"iqn.a%zz\"".into())
    );
    assert_eq!(
        error("iscsi://x/iqn.a/16384"),
        UriError::Lun("\"16384\"".into())
    );
    assert_eq!(
        error("iscsi://x/iqn.a/0?a=b"),
        UriError::Options("\"?a=b\"".into())
    );
}

/// The output of `vcp discover` can be used as it is.
#[test]
fn names_stay_as_they_are_written() {
    for name in [
        "iqn.2026-11.Example:Disk",
        "IQN.2026-11.EXAMPLE:DISK",
        "eui.02004567A425678D",
        "NAA.52004567ba64678d",
    ] {
        let text = format!("iscsi://10.0.0.1/{name}/1");
        assert_eq!(uri(&text).target, name);
        assert_eq!(uri(&text).to_string(), text);
    }
    for name in ["iqn.", "IQN.", "ïqn.a", "disk"] {
        let error = format!("iscsi://x/{name}/0").parse::<IscsiUri>();
        assert_eq!(error.unwrap_err(), UriError::Target(format!("{name:?}")));
    }
}

#[test]
fn discovery_has_no_target() {
    let ask: DiscoveryUri = "iscsi://10.0.0.1:860/".parse().unwrap();
    assert_eq!(ask.to_string(), "iscsi://10.0.0.1:860");
    assert_eq!(
        "iscsi://x/iqn.a/0".parse::<DiscoveryUri>(),
        Err(UriError::Discovery)
    );
}

proptest! {
    #[test]
    fn prints_what_it_parses(
        user in proptest::option::of("[a-z.]{1,8}"),
        host in "([a-z][a-z0-9-]{0,8}(\\.[a-z]{1,4})?|10\\.0\\.[0-9]\\.1|\\[fd00::[0-9a-f]{1,4}\\])",
        port in 1u16..,
        target in "iqn\\.[a-zé%?#@]{1,20}",
        lun in 0u16..=MAX_LUN,
    ) {
        let user = user.map(|u| format!("{u}@")).unwrap_or_default();
        let name = utf8_percent_encode(&target, NAME);
        let uri: IscsiUri = format!("iscsi://{user}{host}:{port}/{name}/{lun}").parse().unwrap();
        prop_assert_eq!(&uri.target, &target);
        prop_assert_eq!(uri.to_string().parse::<IscsiUri>(), Ok(uri));
    }

    #[test]
    fn any_password_can_be_written(password in "[^\\pC]{1,16}") {
        let encoded = utf8_percent_encode(&password, NON_ALPHANUMERIC);
        let uri = uri(&format!("iscsi://joe%{encoded}@h/iqn.a/0"));
        prop_assert_eq!(uri.login.unwrap().password, Some(Secret::new(password)));
    }

    #[test]
    fn never_panics(text in "(iscsi://)?\\PC{0,40}") {
        let _ = text.parse::<IscsiUri>();
        let _ = text.parse::<DiscoveryUri>();
    }
}
