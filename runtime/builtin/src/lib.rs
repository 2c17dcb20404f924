//! The VCP modules that ship inside the host: components built from
//! `vcp-modules/` by this crate's build script. Bytes only; loading and checking
//! them is `vcp-core`'s, as for any other module.

/// A module of this build.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// What a configuration calls it.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// All of them, by name.
pub const MODULES: [Builtin; 3] = [
    Builtin {
        name: "file",
        summary: "a file, in a directory that is granted to it",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/vcp_module_file.wasm")),
    },
    Builtin {
        name: "iscsi",
        summary: "an iSCSI disk, through a TCP/IP stack of its own",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/vcp_module_iscsi.wasm")),
    },
    Builtin {
        name: "ramdisk",
        summary: "a RAM disk",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/vcp_module_ramdisk.wasm")),
    },
];

/// The built-in module of that name.
pub fn find(name: &str) -> Option<Builtin> {
    MODULES.into_iter().find(|module| module.name == name)
}
