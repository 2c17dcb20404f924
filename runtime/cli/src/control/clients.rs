//! The request `clients`: lists the connected clients, or ends a connection.

use std::sync::Arc;

use vcp_control::{Answer, Refusal, RefusalKind, report};
use vcp_core::{ClientStatus, Pool};

use super::{Control, Controlled, done, failed, tell};

impl Control {
    pub(super) async fn clients(&self, name: &str) -> Result<Answer, Refusal> {
        let (vcp, found, export) = self.vcp_or_export(name)?;
        let clients = clients_of(&vcp, &found).await?;
        let wanted = |client: &ClientStatus| export.is_none_or(|export| client.export == export);
        Ok(Answer::new(&report::Clients {
            clients: clients.iter().filter(|c| wanted(c)).map(line).collect(),
            vcp,
        }))
    }

    pub(super) async fn end_client(&self, name: &str, client: u64) -> Result<Answer, Refusal> {
        let (vcp, found, export) = self.vcp_or_export(name)?;
        if let Some(export) = export {
            let clients = clients_of(&vcp, &found).await?;
            if !clients.iter().any(|c| c.id == client && c.export == export) {
                return Err(failed(format!("export {export}: no client {client}")));
            }
        }
        // A stopped VCP has no clients.
        match found.device.vcp.end_client(client).await {
            Ok(true) => Ok(done(&vcp, &found)),
            Ok(false) | Err(_) => Err(failed(format!("VCP {vcp}: no client {client}"))),
        }
    }

    /// Finds a VCP by its name, or by the name of one of its exports.
    fn vcp_or_export<'a>(
        &self,
        name: &'a str,
    ) -> Result<(String, Arc<Controlled>, Option<&'a str>), Refusal> {
        let vcps = self.vcps();
        if let Some(found) = vcps.get(name) {
            return Ok((name.to_owned(), Arc::clone(found), None));
        }
        let owner = vcps.iter().find(|(_, vcp)| vcp.limits.contains_key(name));
        let (owner, found) = owner.ok_or_else(|| {
            let exports = vcps.values().flat_map(|vcp| vcp.limits.keys());
            let names: Vec<_> = vcps.keys().chain(exports).map(String::as_str).collect();
            let why = format!(
                "no VCP or export {name:?} here; there are: {}",
                names.join(", ")
            );
            Refusal::new(RefusalKind::NoSuchVcp, why)
        })?;
        Ok((owner.clone(), Arc::clone(found), Some(name)))
    }

    /// The memory of clients, for each export of a VCP and for the process.
    pub(super) fn client_memory(&self, vcp: &Controlled) -> Vec<report::ClientMemory> {
        let of = |export: Option<&str>, pool: &Pool| report::ClientMemory {
            export: export.map(str::to_owned),
            held: pool.held() as u64,
            most: pool.most() as u64,
        };
        let exports = vcp.limits.iter();
        let exports = exports.map(|(name, limit)| of(Some(name), limit.pool()));
        exports
            .chain([of(None, self.engine.client_memory())])
            .collect()
    }
}

async fn clients_of(name: &str, vcp: &Controlled) -> Result<Vec<ClientStatus>, Refusal> {
    let clients = vcp.device.vcp.clients().await;
    clients.map_err(|_| failed(format!("VCP {name} has stopped")))
}

fn line(client: &ClientStatus) -> report::Client {
    report::Client {
        id: client.id,
        export: client.export.clone(),
        peer: client.name.clone(),
        since_ms: tell::millis(client.since),
        requests: client.requests,
        unanswered: client.unanswered,
        read_bytes: client.read_bytes,
        written_bytes: client.written_bytes,
        held: client.held,
        waits: (!client.waits.is_empty()).then(|| client.waits.to_owned()),
    }
}
