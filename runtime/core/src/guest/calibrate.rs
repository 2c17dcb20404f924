//! Measures fuel against time, on this machine.

use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection,
    Module as Encoder, TypeSection, ValType,
};
use wasmtime::{Instance, Module, Store};

use crate::clock::thread_time;
use crate::fuel::Rate;
use crate::processor::pace::block_on;

/// Rounds of the loop: about a millisecond.
const ROUNDS: i64 = 300_000;
/// The number of measurements; the shortest is the one that nothing interrupted.
const TIMES: u32 = 3;
/// Fuel for all measurements.
const PLENTY: u64 = 1 << 40;
/// The rate that is assumed where it can't be measured: a unit each 0.1 ns.
const GUESS: (u64, u64) = (10, 1);

/// Measures how much fuel a simple loop burns in how much time. That is only a beginning:
/// code of another kind burns more or less.
pub(crate) fn calibrate(engine: &wasmtime::Engine) -> Rate {
    let (fuel, time) = measure(engine).unwrap_or_else(|error| {
        tracing::warn!("measuring what fuel is worth: {error:#}");
        GUESS
    });
    tracing::debug!("{fuel} of fuel in {time} ns");
    Rate::new(fuel, time)
}

fn measure(engine: &wasmtime::Engine) -> wasmtime::Result<(u64, u64)> {
    let module = Module::new(engine, encode())?;
    let mut store = Store::new(engine, ());
    if store.set_fuel(PLENTY).is_err() {
        // Not metered: nothing is measured in fuel, and nothing yields for it.
        return Ok(GUESS);
    }
    let instance = block_on(Instance::new_async(&mut store, &module, &[]))?;
    let turn = instance.get_typed_func::<i64, i64>(&mut store, "turn")?;
    let mut best: Option<(u64, u64)> = None;
    for _ in 0..TIMES {
        let (fuel, time) = (store.get_fuel()?, thread_time());
        block_on(turn.call_async(&mut store, ROUNDS))?;
        let measured = (fuel - store.get_fuel()?, thread_time() - time);
        if best.is_none_or(|best| measured.1 < best.1) {
            best = Some(measured);
        }
    }
    Ok(best.unwrap_or(GUESS))
}

/// A module with a loop that counts down, and mixes a number meanwhile so that there
/// is something to do.
fn encode() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I64], [ValType::I64]);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export("turn", ExportKind::Func, 0);
    let mut code = CodeSection::new();
    let mut body = Function::new([(1, ValType::I64)]);
    body.instructions()
        .loop_(BlockType::Empty)
        .local_get(1)
        .local_get(0)
        .i64_xor()
        .i64_const(13)
        .i64_rotl()
        .local_set(1)
        .local_get(0)
        .i64_const(1)
        .i64_sub()
        .local_tee(0)
        .i64_const(0)
        .i64_ne()
        .br_if(0)
        .end()
        .local_get(1)
        .end();
    code.function(&body);
    let mut module = Encoder::new();
    module
        .section(&types)
        .section(&functions)
        .section(&exports)
        .section(&code);
    module.finish()
}
