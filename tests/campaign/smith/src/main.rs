//! `vcp-smith DIR SEED COUNT`: writes so many components into a directory, made of the
//! seeds from SEED on, with all that WebAssembly has. A file's name is its seed and how it
//! was made: `7.component`, or `7.module` for a core module in a component that runs it
//! and exports, by name, what a device does.

use std::path::Path;
use std::process::ExitCode;

use arbitrary::Unstructured;
use wasm_smith::{Component, Config, Module};

/// Bytes that a sample is made of, at most.
const ENTROPY: u64 = 24 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, first, count] = &arguments[..] else {
        eprintln!("usage: vcp-smith DIR SEED COUNT");
        return ExitCode::from(2);
    };
    let (Ok(first), Ok(count)) = (first.parse::<u64>(), count.parse::<u64>()) else {
        eprintln!("vcp-smith: SEED and COUNT are numbers");
        return ExitCode::from(2);
    };
    for seed in first..first.saturating_add(count) {
        let (kind, bytes) = sample(seed);
        let path = Path::new(directory).join(format!("{seed}.{kind}"));
        if let Err(error) = std::fs::write(&path, bytes) {
            eprintln!("vcp-smith: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// How it was made, and its bytes.
fn sample(seed: u64) -> (&'static str, Vec<u8>) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let of_component = random.chance(3);
    let config = config(&mut random);
    let words = random.below(ENTROPY) / 8 + 8;
    let entropy: Vec<u8> = (0..words)
        .flat_map(|_| random.bits().to_le_bytes())
        .collect();
    let mut entropy = Unstructured::new(&entropy);
    if of_component {
        let component = Component::new(config, &mut entropy);
        return (
            "component",
            component.map_or_else(|_| Vec::new(), |c| c.to_bytes()),
        );
    }
    // It imports nothing, so that it can be run.
    let config = Config {
        max_imports: 0,
        min_funcs: 1,
        ..config
    };
    let module = Module::new(config, &mut entropy);
    (
        "module",
        wrapped(&module.map_or_else(|_| Vec::new(), |m| m.to_bytes())),
    )
}

/// In half of the samples, what a host takes, so that they are compiled and run; in the
/// others any proposal there is; and in one of eight, functions without end.
fn config(random: &mut Random) -> Config {
    let foreign = random.chance(2);
    let mut config = Config {
        gc_enabled: foreign && random.chance(2),
        exceptions_enabled: foreign && random.chance(2),
        threads_enabled: foreign && random.chance(2),
        memory64_enabled: foreign && random.chance(2),
        custom_page_sizes_enabled: foreign && random.chance(4),
        wide_arithmetic_enabled: foreign && random.chance(4),
        relaxed_simd_enabled: random.chance(2),
        simd_enabled: random.chance(2),
        tail_call_enabled: random.chance(2),
        compact_imports_enabled: foreign && random.chance(4),
        custom_descriptors_enabled: foreign && random.chance(8),
        shared_everything_threads_enabled: foreign && random.chance(8),
        reference_types_enabled: true,
        generate_custom_sections: random.chance(4),
        max_memories: random.below(4) as usize,
        max_tables: random.below(4) as usize,
        ..Config::default()
    };
    if random.chance(8) {
        config.max_instructions = 20_000;
        config.max_funcs = 2000;
        config.max_nesting_depth = 100;
    }
    config
}

/// A component that instantiates this core module, and exports what a device does, by
/// name (Component Model, Binary.md).
fn wrapped(module: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let mut section = |id: u8, content: &[u8]| {
        bytes.push(id);
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
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

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// True once in so many times.
    fn chance(&mut self, whole: u64) -> bool {
        self.below(whole) == 0
    }
}
