//! Calls as the program makes them.

use crate::abi::{Areas, Array, Events, Pair, Received, Request, Span, Start, Text};
use crate::{FUNCTIONS, abi};

const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

/// An instance that was started with these settings and a link, or why it was not.
fn start(config: &[(&str, &str)]) -> Result<(*mut abi::Instance, Areas), String> {
    let text = |text: &str| Text::of(text.as_bytes());
    let config: Vec<Pair> = config
        .iter()
        .map(|(key, value)| Pair {
            key: text(key),
            value: text(value),
        })
        .collect();
    let addresses = [text("10.0.0.2/24")];
    let start = Start {
        generation: 1,
        now: 0,
        seed: Array::of(&[7; 32]),
        config: Array::of(&config),
        queue_depth: 32,
        identity: Array::none(),
        mac: Array::of(&[2, 0, 0, 0, 0, 2]),
        mtu: 1500,
        addresses: Array::of(&addresses),
        gateways: Array::none(),
        checksum_offload: true,
        segmentation_offload: true,
    };
    let mut areas = Areas {
        data: NOTHING,
        receive: NOTHING,
    };
    // SAFETY: the instance is new, and the arguments are there.
    unsafe {
        let instance = (FUNCTIONS.make)();
        let refused = (FUNCTIONS.init)(instance, &raw const start, &raw mut areas).entries();
        let Some(why) = refused else {
            return Ok((instance, areas));
        };
        let why = String::from_utf8_lossy(why).into_owned();
        (FUNCTIONS.drop)(instance);
        Err(why)
    }
}

#[test]
fn it_refuses_in_its_own_words() {
    let why = start(&[("portal", "10.0.0.1"), ("speed", "high")]).unwrap_err();
    assert!(why.starts_with("config.speed"), "{why}");
}

#[test]
fn it_sends_what_it_says_and_takes_what_is_written() {
    let settings = [
        ("portal", "10.0.0.1"),
        ("target", "iqn.2026-11.example:disk"),
        ("lun", "0"),
    ];
    let (instance, areas) = start(&settings).unwrap();
    let events = Events {
        now: 1,
        stop: false,
        requests: Array::<Request>::none(),
        frames: Array::<Received>::none(),
    };
    // SAFETY: the instance is there, and no borrow outlives its call.
    unsafe {
        // It wants to know who has the portal's address.
        let effects = (FUNCTIONS.process)(instance, &raw const events);
        assert!(effects.deadline < u64::MAX);
        let [frame] = effects.frames.entries().unwrap() else {
            panic!("one frame")
        };
        let bytes = (FUNCTIONS.bytes)(instance, frame.data).entries().unwrap();
        assert_eq!(bytes.len(), frame.data.length as usize);
        assert_eq!((&bytes[..6], &bytes[12..14]), (&[0xff; 6][..], &[8, 6][..]));

        let room = Span {
            length: 3,
            ..areas.data
        };
        let bytes = (FUNCTIONS.bytes_mut)(instance, room).entries_mut();
        bytes.unwrap().copy_from_slice(b"abc");
        let bytes = (FUNCTIONS.bytes)(instance, room).entries();
        assert_eq!(bytes, Some(&b"abc"[..]));
        let outside = Span {
            length: areas.data.length + 1,
            ..areas.data
        };
        assert!((FUNCTIONS.bytes)(instance, outside).entries().is_none());
        (FUNCTIONS.drop)(instance);
    }
}
