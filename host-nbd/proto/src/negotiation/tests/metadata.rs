//! Metadata contexts: how one is selected, and how the selection is lost again.

use vcp_queue::Operation;

use super::*;

/// Whether block status is served after these options and a `GO` to "disk".
fn block_status(options: &[Vec<u8>]) -> bool {
    let mut options = options.to_vec();
    options.push(option(opt::GO, &info_data("disk", &[])));
    let End::Session(session) = talk(&options).1 else {
        panic!()
    };
    let status = Request {
        flags: 0,
        kind: cmd::BLOCK_STATUS,
        cookie: 0,
        offset: 0,
        length: 512,
    };
    matches!(
        session.check(&status),
        Verdict::Queue(Operation::Extents, _)
    )
}

#[test]
fn metadata_contexts() {
    use rep::{ACK, ERR_INVALID, ERR_UNKNOWN, META_CONTEXT};
    let structured = || option(opt::STRUCTURED_REPLY, b"");
    let set = |name, queries: &[&str]| option(opt::SET_META_CONTEXT, &meta_data(name, queries));
    let list = |name, queries: &[&str]| option(opt::LIST_META_CONTEXT, &meta_data(name, queries));
    let base = || set("disk", &["base:allocation"]);

    assert_eq!(kinds(&[base()]), [ERR_INVALID]);
    assert_eq!(kinds(&[structured(), base()]), [ACK, META_CONTEXT, ACK]);
    assert_eq!(
        kinds(&[structured(), list("disk", &[])]),
        [ACK, META_CONTEXT, ACK]
    );
    assert_eq!(kinds(&[structured(), set("disk", &["x:y"])]), [ACK, ACK]);
    assert_eq!(
        kinds(&[structured(), list("nope", &[])]),
        [ACK, ERR_UNKNOWN]
    );

    assert!(block_status(&[structured(), base()]));
    assert!(!block_status(&[structured()]));
    assert!(!block_status(&[structured(), list("disk", &["base:"])]));
    // The context is selected for another export.
    assert!(!block_status(&[
        structured(),
        set("", &["base:allocation"])
    ]));
}

/// An earlier selection is gone, "including when this command fails".
#[test]
fn a_later_selection_replaces_the_former_however_it_fails() {
    use rep::{ACK, ERR_INVALID, ERR_TOO_BIG, ERR_UNKNOWN};
    let structured = || option(opt::STRUCTURED_REPLY, b"");
    let set = |data: &[u8]| option(opt::SET_META_CONTEXT, data);
    let base = || set(&meta_data("disk", &["base:allocation"]));
    let valid = meta_data("disk", &["base:allocation"]);
    let with_name = |name: &[u8]| {
        let length = u32::try_from(name.len()).unwrap();
        [&length.to_be_bytes()[..], name, &1_u32.to_be_bytes()].concat()
    };
    for (what, data, answer) in [
        ("nothing selected", meta_data("disk", &[]), ACK),
        ("only unknown contexts", meta_data("disk", &["x:y"]), ACK),
        ("a wildcard", meta_data("disk", &["base:"]), ACK),
        (
            "no such export",
            meta_data("nope", &["base:allocation"]),
            ERR_UNKNOWN,
        ),
        (
            "an export not ready",
            meta_data("busy", &["base:allocation"]),
            ERR_UNKNOWN,
        ),
        ("no data", vec![], ERR_INVALID),
        ("noise", b"?".to_vec(), ERR_INVALID),
        ("cut short", valid[..valid.len() - 1].to_vec(), ERR_INVALID),
        ("too long", [&valid[..], b"x"].concat(), ERR_INVALID),
        ("a name that is not UTF-8", with_name(b"\xff"), ERR_INVALID),
        ("a name with NUL", with_name(b"\0"), ERR_INVALID),
        ("a name too long", with_name(&[b'a'; 5000]), ERR_INVALID),
        ("skipped", vec![0; MAX_OPTION + 1], ERR_TOO_BIG),
        ("skipped, the most", vec![0; MAX_SKIP as usize], ERR_TOO_BIG),
    ] {
        let options = [structured(), base(), set(&data)];
        assert_eq!(kinds(&options).last(), Some(&answer), "{what}");
        assert!(!block_status(&options), "{what}");
        // The context can be selected again.
        assert!(
            block_status(&[structured(), base(), set(&data), base()]),
            "{what}"
        );
        // No other option takes the selection away.
        let list = option(opt::LIST_META_CONTEXT, &data);
        assert!(
            block_status(&[structured(), base(), list]),
            "listing: {what}"
        );
    }
    // Other options that fail or are skipped leave the selection.
    for other in [
        option(99, &vec![0; MAX_OPTION + 1]),
        option(opt::INFO, b"?"),
    ] {
        assert!(block_status(&[structured(), base(), other]));
    }
}
