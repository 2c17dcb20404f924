//! The file behind the disk: in a component one that the host opened in a granted
//! directory; natively, for tests, one of the operating system.

#[cfg(target_arch = "wasm32")]
mod granted;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use granted::Backing;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::Backing;
