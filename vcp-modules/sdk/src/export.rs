//! The macros that turn a VCP into a component.

/// Exports a [`Device`](crate::Device) as a component of the world `device`:
/// `export_device!(Disk)`. One that is also a [`Handover`](crate::Handover) can be
/// exported as one of the world `device-handover`: `export_device!(Disk, handover)`.
#[macro_export]
macro_rules! export_device {
    ($ty:ty $(, $handover:ident)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private::{Instance, String, Vec};
            use $crate::{Device, block, control, device, types};

            static INSTANCE: Instance<$ty> = Instance::new();
            struct Export;
            impl device::Guest for Export {
                fn init(start: control::Start) -> Result<control::Areas, String> {
                    let (vcp, areas) = <$ty as Device>::start(start)?;
                    INSTANCE.set(vcp);
                    Ok(areas)
                }
                fn process(
                    now: types::Instant,
                    commands: Vec<control::Command>,
                    requests: Vec<block::Request>,
                ) -> device::Effects {
                    INSTANCE.with(|vcp| vcp.process(now, &commands, &requests))
                }
            }
            device::__export!(Export with_types_in device::__bindings);
            $($crate::__export_handover!($handover);)?
        };
    };
}

/// Exports a [`Processor`](crate::Processor) as a component of the world
/// `processor`: `export_processor!(Disk)`. One that is also a
/// [`Handover`](crate::Handover) can be exported as one of the world
/// `processor-handover`: `export_processor!(Disk, handover)`.
#[macro_export]
macro_rules! export_processor {
    ($ty:ty $(, $handover:ident)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private::{Instance, String};
            use $crate::{Processor, control, processor};

            static INSTANCE: Instance<$ty> = Instance::new();
            struct Export;
            impl processor::Guest for Export {
                fn init(
                    start: control::Start,
                    network: processor::Network,
                ) -> Result<control::Areas, String> {
                    let (vcp, areas) = <$ty as Processor>::start(start, network)?;
                    INSTANCE.set(vcp);
                    Ok(areas)
                }
                fn process(events: processor::Events) -> processor::Effects {
                    INSTANCE.with(|vcp| vcp.process(&events))
                }
            }
            processor::__export!(Export with_types_in processor::__bindings);
            $($crate::__export_handover!($handover);)?
        };
    };
}

/// The rest of an export with a hand-over: for the `Export` and the `INSTANCE` in scope.
/// A component that exports the interfaces of two worlds belongs to the world with both.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handover {
    (handover) => {
        const _: () = {
            use $crate::__private::{String, Vec, handover};
            use $crate::{Handover, types};

            impl handover::Guest for Export {
                fn snapshot(now: types::Instant) -> Result<handover::Handed, handover::Refusal> {
                    INSTANCE.with(|vcp| handover::taken(vcp, now))
                }
                fn restore(now: types::Instant, state: Vec<u8>) -> Result<(), String> {
                    INSTANCE.with(|vcp| Handover::restore(vcp, now, &state))
                }
            }
    handover::__export!(Export with_types_in handover::__bindings);
        };
    };
}
