//! The iSCSI VCP as native code in a shared object, for the program `native`: the
//! same sources and the same profile as the component, with no box around them. It
//! is no part of the product; it is what the box is measured against.
//!
//! Built by itself and loaded, not linked: so it has link-time optimisation of its
//! own, as the component has. A panic aborts the process, as it traps in the
//! component.

#[expect(dead_code, reason = "the other side uses the rest")]
mod abi;
mod convert;
mod instance;
#[cfg(test)]
mod tests;

use std::ptr;

use abi::{Areas, Array, Effects, Events, Functions, Span, Start, Text};
use instance::Instance;

/// What there is to call.
static FUNCTIONS: Functions = Functions {
    version: abi::VERSION,
    make,
    init,
    process,
    bytes,
    bytes_mut,
    drop: end,
};

/// The one function that is found by its name ([`abi::ENTRY`]).
// SAFETY: nothing else in the process has this name.
#[unsafe(no_mangle)]
extern "C" fn vcp_native() -> *const Functions {
    &raw const FUNCTIONS
}

unsafe extern "C" fn make() -> *mut abi::Instance {
    Box::into_raw(Box::new(Instance::default())).cast()
}

unsafe extern "C" fn init(
    instance: *mut abi::Instance,
    start: *const Start,
    areas: *mut Areas,
) -> Text {
    // SAFETY: as everywhere in this file, an instance is what `make` gave, nobody
    // else uses it meanwhile, and the arguments are there for the call.
    let (instance, start, areas) =
        unsafe { (&mut *instance.cast::<Instance>(), &*start, &mut *areas) };
    // SAFETY: the arrays of the arguments are there for the call too.
    let start = unsafe { convert::start(start) };
    match instance.init(start) {
        Ok(started) => {
            *areas = started;
            Text::none()
        }
        Err(why) => Text::of(why.as_bytes()),
    }
}

unsafe extern "C" fn process(instance: *mut abi::Instance, events: *const Events) -> Effects {
    // SAFETY: see `init`.
    let (instance, events) = unsafe { (&mut *instance.cast::<Instance>(), &*events) };
    // SAFETY: see `init`.
    unsafe { convert::events(events, &mut instance.events) };
    instance.process()
}

unsafe extern "C" fn bytes(instance: *const abi::Instance, span: Span) -> Array<u8> {
    // SAFETY: see `init`.
    let instance = unsafe { &*instance.cast::<Instance>() };
    instance.bytes(span).map_or(Array::none(), Array::of)
}

unsafe extern "C" fn bytes_mut(instance: *mut abi::Instance, span: Span) -> Array<u8> {
    // SAFETY: see `init`.
    let instance = unsafe { &mut *instance.cast::<Instance>() };
    instance
        .bytes_mut(span)
        .map_or(Array::none(), Array::of_mut)
}

unsafe extern "C" fn end(instance: *mut abi::Instance) {
    // SAFETY: it is what `make` gave, and is not used again.
    drop(unsafe { Box::from_raw(ptr::from_mut(&mut *instance.cast::<Instance>())) });
}
