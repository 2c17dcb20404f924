//! Loading modules: which are refused, and in which words; and the cache.

use vcp_core::{Cache, Engine, Module, World};

fn load(bytes: &[u8]) -> Result<Module, String> {
    let engine = Engine::new(true).unwrap();
    Module::load(&engine, &Cache::disabled(), "m.wasm", bytes).map_err(|e| e.to_string())
}

fn refused(bytes: &[u8]) -> String {
    load(bytes).err().expect("this module must be refused")
}

/// A component made by hand (Component Model, Binary.md): it imports an empty
/// instance as `import` and exports one as `export`.
fn component(import: Option<&str>, export: Option<&str>) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let mut section = |id: u8, content: &[u8]| {
        bytes.extend([id, content.len() as u8]);
        bytes.extend(content);
    };
    let named =
        |name: &str, rest: &[u8]| [&[1, 0, name.len() as u8], name.as_bytes(), rest].concat();
    if let Some(name) = import {
        section(7, &[1, 0x42, 0]);
        section(10, &named(name, &[5, 0]));
    }
    if let Some(name) = export {
        section(5, &[1, 1, 0]);
        section(11, &named(name, &[5, u8::from(import.is_some()), 0]));
    }
    bytes
}

#[test]
fn what_is_no_component_is_refused() {
    assert_eq!(
        refused(b""),
        "module m.wasm: an empty file, not a WebAssembly component"
    );
    assert_eq!(
        refused(b"#!/bin/sh"),
        "module m.wasm: not a WebAssembly component"
    );
    assert_eq!(
        refused(b"\0asm\x02\0\0\0"),
        "module m.wasm: WebAssembly of an unknown version"
    );
    let core = refused(b"\0asm\x01\0\0\0");
    assert!(
        core.starts_with("module m.wasm: a WebAssembly core module, not a component; "),
        "{core}"
    );
    let mut broken = component(None, None);
    broken.extend([1, 200]);
    let broken = refused(&broken);
    assert!(
        broken.starts_with("module m.wasm: not a valid component: "),
        "{broken}"
    );
    assert!(!broken.contains('\n'), "{broken}");
}

/// A component with one core module of one function, which adds to a local `count` times:
/// each time three bytes.
fn sum(count: usize) -> Vec<u8> {
    fn leb(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }
    let section = |id: u8, content: &[u8]| [&[id], &leb(content.len())[..], content].concat();
    let mut body = vec![1, 1, 0x7f, 0x20, 0];
    body.extend([0x20, 0, 0x6a].repeat(count));
    body.extend([0x1a, 0x0b]);
    let code = section(10, &[&[1], &leb(body.len())[..], &body].concat());
    let types = section(1, &[1, 0x60, 0, 0]);
    let functions = section(3, &[1, 0]);
    let module = [b"\0asm\x01\0\0\0", &types[..], &functions, &code].concat();
    [b"\0asm\x0d\0\x01\0", &section(1, &module)[..]].concat()
}

#[test]
fn what_would_take_too_long_to_compile_is_refused() {
    let mut large = component(None, None);
    large.resize(Module::LARGEST + 1, 0);
    assert_eq!(
        refused(&large),
        "module m.wasm has 67108865 bytes; this host compiles up to 67108864"
    );
    // One is the largest function that is taken, the other is larger by an addition.
    let most = ((1 << 20) - 7) / 3;
    let taken = refused(&sum(most));
    assert!(taken.contains("is of another world"), "{taken}");
    let long = refused(&sum(most + 1));
    assert!(
        long.starts_with("module m.wasm has a function of 1048579 bytes (at 0x"),
        "{long}"
    );
    assert!(long.ends_with("this host compiles up to 1048576"), "{long}");
}

#[test]
fn a_component_of_another_world_is_refused_by_the_name_that_is_wrong() {
    assert_eq!(
        refused(&component(None, None)),
        "module m.wasm is of another world: it exports nothing, but a VCP exports \
         vcp:block/device@0.1.0 or vcp:net/processor@0.1.0"
    );
    let proxy = component(None, Some("wasi:http/handler@0.2.0"));
    assert!(refused(&proxy).contains("it exports only wasi:http/handler@0.2.0"));
    let old = component(None, Some("vcp:block/device@0.0.9"));
    assert_eq!(
        refused(&old),
        "module m.wasm exports vcp:block/device of version 0.0.9; this host runs 0.1.0"
    );
    // The validator has several lines to say of that.
    let odd = refused(&component(Some("vXp:io/log@0.1.0"), None));
    assert!(odd.contains("is not a valid extern name; "), "{odd}");
    assert!(!odd.contains('\n'), "{odd}");
    let greedy = component(Some("acme:disk/raw@1.0.0"), Some("vcp:block/device@0.1.0"));
    assert_eq!(
        refused(&greedy),
        "module m.wasm imports acme:disk/raw@1.0.0, which no world of VCPs has"
    );
}

#[test]
fn the_built_in_modules_import_nothing_but_interfaces_of_vcps() {
    for (name, world) in [("iscsi", World::Processor), ("ramdisk", World::Device)] {
        let module = load(vcp_builtin::find(name).unwrap().bytes).unwrap();
        assert_eq!(module.world(), world);
        for import in module.imports() {
            assert!(import.starts_with("vcp:"), "{name} imports {import}");
        }
    }
}

#[test]
fn compiled_modules_are_cached_and_a_spoilt_cache_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("cache");
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_builtin::find("ramdisk").unwrap().bytes;
    let load = || Module::load(&engine, &Cache::at(&place), "ramdisk", bytes).unwrap();
    let files = || {
        std::fs::read_dir(&place)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect::<Vec<_>>()
    };
    load();
    let first = files();
    assert_eq!(first.len(), 1);
    load();
    assert_eq!(files(), first);
    std::fs::write(&first[0], b"not compiled code").unwrap();
    load();
    // Another engine, whose code would differ, has a file of its own.
    let unmetered = Engine::new(false).unwrap();
    Module::load(&unmetered, &Cache::at(&place), "ramdisk", bytes).unwrap();
    assert_eq!(files().len(), 2);
}

#[test]
fn a_cache_that_others_can_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_builtin::find("ramdisk").unwrap().bytes;
    Module::load(&engine, &Cache::at(directory.path()), "ramdisk", bytes).unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
