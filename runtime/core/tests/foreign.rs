//! Modules that use what this host leaves out of WebAssembly. What the engine does with
//! them may end the process, so each is loaded by a process of its own: it must live,
//! and refuse the module in one line.

use std::process::Command;

use vcp_core::{Cache, Engine, Module, Settings, Vcp};

/// The variable that tells the process below which module it is to load.
const CHOICE: &str = "VCP_TEST_FOREIGN";

/// Name and bytes of each core module.
fn modules() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = include_str!("foreign/modules.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let mut parts = line.split('\t');
        let (name, hex) = (parts.next().unwrap(), parts.next().unwrap());
        let digits = hex.as_bytes().chunks(2);
        let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
        (name, digits.map(byte).collect())
    })
}

/// A component that instantiates this core module, and exports what a device does, by
/// name (Component Model, Binary.md).
fn component(module: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let mut section = |id: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap();
        bytes.extend([id, length as u8 | 0x80, (length >> 7) as u8]);
        bytes.extend(content);
    };
    let name = b"vcp:block/device@0.1.0";
    section(1, module);
    section(2, &[1, 0, 0, 0]);
    section(5, &[1, 1, 0]);
    section(
        11,
        &[&[1, 0, name.len() as u8], &name[..], &[5, 0, 0]].concat(),
    );
    bytes
}

/// This is no test of its own, but what each process of the test below does. A module that
/// is loaded is run, as an operator would.
#[test]
fn load_one() {
    let Ok(choice) = std::env::var(CHOICE) else {
        return;
    };
    let (_, module) = modules().find(|(name, _)| *name == choice).unwrap();
    let engine = Engine::new(true).unwrap();
    match Module::load(&engine, &Cache::disabled(), "m.wasm", &component(&module)) {
        Err(why) => println!("refused: {why}"),
        Ok(module) => {
            let (_vcp, mut events) = Vcp::start(&engine, Settings::new("m", module)).unwrap();
            println!("ran: {:?}", events.blocking_recv());
        }
    }
}

#[test]
fn what_the_engine_was_built_without_is_refused_and_ends_nothing() {
    let mut wrong = Vec::new();
    for (name, _) in modules() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "load_one", "--nocapture"])
            .env(CHOICE, name)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        let refusal = said.lines().find(|line| line.contains("refused: "));
        println!("{name}: {}; {}", child.status, refusal.unwrap_or("-"));
        let sound = refusal.is_some_and(|line| line.contains("module m.wasm: not a valid"));
        if !(child.status.success() && sound) {
            let why = String::from_utf8_lossy(&child.stderr).into_owned();
            wrong.push(format!("{name}: {}: {said}{why}", child.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
