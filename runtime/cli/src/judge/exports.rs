//! Checks of exports: their addresses, access and devices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vcp_config::{Export, ExportName, NbdAddress, Places};
use vcp_nbd::{Address, ServerError};

use super::Judge;
use crate::host::server_options;

impl Judge {
    pub(super) fn exports(&self) {
        let mut sockets = BTreeMap::new();
        let mut devices = BTreeMap::new();
        for (name, export) in &self.config.exports {
            for address in &export.nbd {
                self.address(name, address);
                if let NbdAddress::Unix(path) = address {
                    self.one_spelling(name, path, &mut sockets);
                }
            }
            self.device(name, export, &mut devices);
        }
    }

    fn address(&self, name: &ExportName, address: &NbdAddress) {
        let key = |key: &str| Places::key(&["export", name.as_str(), key]);
        if let Err(error) = server_options(&self.config, address) {
            let said = format!("{error:#}");
            let about = format!("export {name}: socket-group: ");
            let why = said.strip_prefix(&about).unwrap_or(&said);
            self.error(&key("socket-group"), why);
        }
        let address = match address.clone() {
            NbdAddress::Unix(path) => Address::Unix(path),
            NbdAddress::Tcp { host, port } => Address::Tcp { host, port },
        };
        match vcp_nbd::look(&address) {
            Ok(()) => {}
            // The service manager makes the directory when it starts the service.
            Err(ServerError::Listen { .. }) if self.is_made(&address) => {}
            Err(error) => self.error(&key("nbd"), error),
        }
    }

    /// Whether the socket's directory will be there once the service has started.
    fn is_made(&self, address: &Address) -> bool {
        let Address::Unix(path) = address else {
            return false;
        };
        let unit = self.unit.as_ref();
        let made = |directory: &Path| unit.is_some_and(|unit| unit.makes(directory));
        path.parent().is_some_and(|at| made(at) && !at.exists())
    }

    /// Two spellings of one path would be two sockets, one replacing the other.
    fn one_spelling(
        &self,
        name: &ExportName,
        path: &Path,
        sockets: &mut BTreeMap<PathBuf, PathBuf>,
    ) {
        let (Some(directory), Some(file)) = (path.parent(), path.file_name()) else {
            return;
        };
        let Ok(directory) = directory.canonicalize() else {
            return;
        };
        let first = sockets
            .entry(directory.join(file))
            .or_insert_with(|| path.to_owned());
        if first.as_path() != path {
            let key = Places::key(&["export", name.as_str(), "nbd"]);
            let (path, first) = (path.display(), first.display());
            self.error(
                &key,
                format!("unix:{path} is the same file as unix:{first}"),
            );
        }
    }

    /// Checks that a device shows only one export.
    fn device(
        &self,
        name: &ExportName,
        export: &Export,
        devices: &mut BTreeMap<String, ExportName>,
    ) {
        let device = export.attach.as_ref().and_then(|attach| attach.device);
        let Some(device) = device.map(|device| device.to_string()) else {
            return;
        };
        let first = devices
            .entry(device.clone())
            .or_insert_with(|| name.clone());
        if first != name {
            let key = Places::key(&["export", name.as_str(), "attach", "device"]);
            self.error(&key, format!("{device} is that of export {first} already"));
        }
    }
}
