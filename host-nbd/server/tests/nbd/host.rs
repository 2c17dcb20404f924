//! Exports in memory and a server that serves them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use vcp_nbd::exports::GeometryFuture;
use vcp_nbd::{Address, Export, Exports, Server, ServerError, ServerOptions};
use vcp_nbd_proto::Unavailable;
use vcp_queue::{Client, Geometry};

use crate::disk::Disk;
use crate::processor::Processor;

/// One export. Without a geometry it never gets ready.
pub(crate) struct TestExport {
    processor: Processor,
    geometry: Option<Geometry>,
    read_only: bool,
    description: String,
}

impl TestExport {
    pub(crate) fn new(disk: Disk) -> Self {
        let geometry = Some(disk.geometry.clone());
        let processor = Processor::start(disk);
        Self {
            processor,
            geometry,
            read_only: false,
            description: String::new(),
        }
    }

    pub(crate) fn read_only(self) -> Self {
        Self {
            read_only: true,
            ..self
        }
    }

    pub(crate) fn described(self, description: &str) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    pub(crate) fn never_ready(self) -> Self {
        Self {
            geometry: None,
            ..self
        }
    }
}

impl Export for TestExport {
    fn geometry(&self) -> GeometryFuture<'_> {
        Box::pin(async {
            match self.geometry.clone() {
                Some(geometry) => Ok::<_, Unavailable>(geometry),
                None => std::future::pending().await,
            }
        })
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn attach(&self, client: Box<dyn Client>) -> Result<(), String> {
        self.processor.attach(client);
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct TestExports(pub(crate) BTreeMap<String, Arc<TestExport>>);

impl Exports for TestExports {
    fn list(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn open(&self, name: &str) -> Option<Arc<dyn Export>> {
        self.0.get(name).map(|export| export.clone() as _)
    }
}

/// New options for a running server, and a channel for the result.
type Order = (
    ServerOptions,
    std::sync::mpsc::Sender<Result<(), ServerError>>,
);

/// A server on a unix socket in a directory of its own, or elsewhere, until
/// dropped.
pub(crate) struct Host {
    pub(crate) address: Address,
    pub(crate) directory: tempfile::TempDir,
    exports: Arc<TestExports>,
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    pub(crate) fn new(exports: impl IntoIterator<Item = (&'static str, TestExport)>) -> Self {
        Self::with(None, ServerOptions::default(), exports).unwrap()
    }

    pub(crate) fn with(
        address: Option<Address>,
        options: ServerOptions,
        exports: impl IntoIterator<Item = (&'static str, TestExport)>,
    ) -> Result<Self, ServerError> {
        let directory = tempfile::Builder::new()
            .prefix("vcp-nbd-")
            .tempdir()
            .unwrap();
        let address = address.unwrap_or(Address::Unix(directory.path().join("nbd.sock")));
        let exports = exports
            .into_iter()
            .map(|(n, e)| (n.to_owned(), Arc::new(e)))
            .collect();
        let exports = Arc::new(TestExports(exports));
        let (orders, mut ordered) = mpsc::unbounded_channel::<Order>();
        let (bound, outcome) = std::sync::mpsc::channel();
        let served = exports.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let server = Server::bind(&address, served, options).await;
                let server = match server {
                    Ok(server) => server,
                    Err(error) => return bound.send(Err(error)).unwrap(),
                };
                bound.send(Ok(server.address().clone())).unwrap();
                while let Some((options, answer)) = ordered.recv().await {
                    answer.send(server.change(options)).unwrap();
                }
            });
        });
        let address = outcome.recv().unwrap()?;
        Ok(Self {
            address,
            directory,
            exports,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Gives the running server other options.
    pub(crate) fn change(&self, options: ServerOptions) -> Result<(), ServerError> {
        let (answer, answered) = std::sync::mpsc::channel();
        let orders = self.orders.as_ref().unwrap();
        orders.send((options, answer)).unwrap();
        answered.recv().unwrap()
    }

    pub(crate) fn uri(&self, name: &str) -> String {
        self.address.uri(name)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// How the clients of an export ended.
    pub(crate) fn endings(&self, name: &str) -> Vec<String> {
        self.exports.0[name].processor.endings()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.orders.take());
        let outcome = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            outcome.unwrap();
        }
    }
}
