//! The VCP modules that ship inside the host, built from vcp-modules.
