//! Requests that no decent client sends, by libnbd with its own checks off, and
//! corners of negotiation.

use std::time::Duration;

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use crate::requires;
use crate::tool::{fails, libnbd};
use vcp_nbd::ServerOptions;
use vcp_queue::Status;

fn host() -> Host {
    let mut bad = Disk::new(1 << 20, 512);
    bad.bad = Some((65536..66048, Status::IoError));
    let mut full = Disk::new(1 << 20, 512);
    full.bad = Some((0..1 << 20, Status::NoSpace));
    let mut bare = Disk::new(1 << 20, 512);
    bare.geometry.max_discard = 0;
    Host::new([
        ("disk", TestExport::new(Disk::new(64 << 20, 512))),
        ("ro", TestExport::new(Disk::new(1 << 20, 512)).read_only()),
        ("bad", TestExport::new(bad)),
        ("full", TestExport::new(full)),
        ("bare", TestExport::new(bare)),
    ])
}

/// Runs a script with and without structured replies.
fn both(uri: &str, script: &str) {
    for structured in ["True", "False"] {
        libnbd(
            uri,
            &format!("h.set_request_structured_replies({structured})\n{script}"),
        );
    }
}

const ALIVE: &str = "
assert h.pread(512, 0) is not None
h.shutdown()
";

#[test]
fn requests_outside_the_export() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
size = h.get_size()
fails(errno.EINVAL, h.pread, 512, size)
fails(errno.EINVAL, h.pread, 1024, size - 512)
fails(errno.EINVAL, h.pread, 512, 2**63 - 512)
fails(errno.ENOSPC, h.pwrite, bytes(1024), size - 512)
fails(errno.ENOSPC, h.pwrite, bytes(512), 2**62)
fails(errno.ENOSPC, h.zero, 1024, size - 512)
fails(errno.EINVAL, h.trim, 1024, size - 512)
";
    both(&host.uri("disk"), &format!("{script}{ALIVE}"));
}

#[test]
fn writes_to_a_read_only_export() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
assert h.is_read_only()
fails(errno.EPERM, h.pwrite, bytes(512), 0)
fails(errno.EPERM, h.pwrite, b'x' * (20 << 20), 0)
fails(errno.EPERM, h.zero, 512, 0)
fails(errno.EPERM, h.trim, 512, 0)
h.flush()
";
    both(&host.uri("ro"), &format!("{script}{ALIVE}"));
}

#[test]
fn unaligned_requests_of_a_client_that_was_told_sizes() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
assert h.get_block_size(nbd.SIZE_MINIMUM) == 1
h.pwrite(b'hello', 511)
h.zero(1, 512)
h.trim(1, 100000)
assert h.pread(7, 510) == b'\\0h\\0llo\\0', h.pread(7, 510)
";
    both(&host.uri("disk"), &format!("{script}{ALIVE}"));
}

#[test]
fn unaligned_requests_of_a_client_that_was_not_told() {
    requires!("python3-libnbd");
    let host = host();
    // Without fixed newstyle there is only EXPORT_NAME, with and without zeroes.
    for flags in ["0", "nbd.HANDSHAKE_FLAG_NO_ZEROES"] {
        let script = format!(
            "
h.set_handshake_flags({flags})
h.set_export_name('disk')
h.connect_uri(uri)
assert h.get_protocol() == 'newstyle', h.get_protocol()
h.pwrite(b'hello', 1021)
h.zero(1, 1022)
assert h.pread(7, 1020) == b'\\0h\\0llo\\0', h.pread(7, 1020)
assert h.get_size() == 64 << 20
h.shutdown()
"
        );
        libnbd(&host.uri("disk"), &script);
    }
}

#[test]
fn unaligned_requests_of_a_client_that_did_not_ask() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.set_request_block_size(False)
h.connect_uri(uri)
assert h.get_protocol() == 'newstyle-fixed'
assert h.get_block_size(nbd.SIZE_MINIMUM) == 1
h.pwrite(b'hello', 511)
h.trim(1, 100000)
assert h.pread(7, 510) == b'\\0hello\\0', h.pread(7, 510)
";
    both(&host.uri("disk"), &format!("{script}{ALIVE}"));
}

#[test]
fn too_much_at_once() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
most = h.get_block_size(nbd.SIZE_MAXIMUM)
assert most == 32 << 20
data = b'0123456789abcdef' * (most // 16)
h.pwrite(data, 0)
assert h.pread(most, 0) == data
too_much = errno.EOVERFLOW if h.get_structured_replies_negotiated() else errno.EINVAL
fails(too_much, h.pread, most + 512, 0)
fails(errno.EINVAL, h.pwrite, bytes(most + 512), 0)
h.trim(64 << 20, 0)
h.zero(64 << 20, 0)
assert h.pread(most, 0) == bytes(most)
";
    both(&host.uri("disk"), &format!("{script}{ALIVE}"));
}

#[test]
fn flags_that_were_not_offered() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
fails(errno.EINVAL, h.zero, 512, 0, nbd.CMD_FLAG_FAST_ZERO)
fails(errno.EINVAL, h.pwrite, bytes(512), 0, nbd.CMD_FLAG_DF)
fails(errno.EINVAL, h.pwrite, bytes(512), 0, nbd.CMD_FLAG_NO_HOLE)
fails(errno.EINVAL, h.trim, 512, 0, nbd.CMD_FLAG_REQ_ONE)
fails(errno.EINVAL, h.flush, nbd.CMD_FLAG_DF)
fails(errno.EINVAL, h.cache, 512, 0)
h.flush(nbd.CMD_FLAG_FUA)
h.zero(512, 0, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
h.trim(512, 0, nbd.CMD_FLAG_FUA)
h.pwrite(bytes(512), 0, nbd.CMD_FLAG_FUA)
if h.get_structured_replies_negotiated():
    assert h.can_df()
    h.pread(65536, 0, nbd.CMD_FLAG_DF)
else:
    assert not h.can_df()
    fails(errno.EINVAL, h.pread, 65536, 0, nbd.CMD_FLAG_DF)
";
    both(&host.uri("disk"), &format!("{script}{ALIVE}"));
    let bare = "
h.connect_uri(uri)
assert not h.can_trim()
fails(errno.EINVAL, h.trim, 512, 0)
";
    both(&host.uri("bare"), &format!("{bare}{ALIVE}"));
}

#[test]
fn nothing_at_all() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
h.pwrite(b'', 512)
h.zero(0, 512)
h.trim(0, 512)
assert h.pread(0, 512) == b''
fails(errno.EINVAL, h.pread, 0, 2**40)
";
    both(&host.uri("disk"), &format!("{script}{ALIVE}"));
}

#[test]
fn errors_of_the_device() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.connect_uri(uri)
fails(errno.EIO, h.pread, 4096, 65536 - 2048)
fails(errno.EIO, h.pwrite, bytes(4096), 65536 - 2048)
assert h.pread(65536, 0) == bytes(65536)
";
    both(&host.uri("bad"), &format!("{script}{ALIVE}"));
    let full = "
h.connect_uri(uri)
fails(errno.ENOSPC, h.pwrite, bytes(512), 0)
h.shutdown()
";
    both(&host.uri("full"), full);
}

#[test]
fn block_status() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.add_meta_context('qemu:dirty-bitmap:x')
h.connect_uri(uri)
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
assert not h.can_meta_context('qemu:dirty-bitmap:x')
def status(length, offset, flags=0):
    seen = []
    h.block_status(length, offset, lambda c, o, e, err: seen.append((c, o, e)), flags)
    assert len(seen) == 1
    return seen[0]
size = h.get_size()
assert status(1024, 512) == ('base:allocation', 512, [size - 512, 0])
assert status(1024, 512, nbd.CMD_FLAG_REQ_ONE) == ('base:allocation', 512, [1024, 0])
fails(errno.EINVAL, status, 0, 512)
fails(errno.EINVAL, status, 1024, size - 512)
";
    libnbd(&host.uri("disk"), &format!("{script}{ALIVE}"));
    let without = "
h.connect_uri(uri)
fails(errno.EINVAL, h.block_status, 512, 0, lambda *a: 0)
";
    libnbd(&host.uri("disk"), &format!("{without}{ALIVE}"));
}

#[test]
fn options_by_hand() {
    requires!("python3-libnbd");
    let host = host();
    let script = "
h.set_opt_mode(True)
h.connect_uri(uri)
names = []
h.opt_list(lambda name, description: names.append(name))
assert names == ['bad', 'bare', 'disk', 'full', 'ro'], names
h.set_export_name('nope')
fails(errno.ENOENT, h.opt_info)
fails(errno.ENOENT, h.opt_go)
h.set_export_name('')
fails(errno.ENOENT, h.opt_info)
h.set_export_name('ro')
contexts = []
for query in [None, 'base:', 'x:']:
    h.clear_meta_contexts()
    if query is not None:
        h.add_meta_context(query)
    h.opt_list_meta_context(contexts.append)
assert contexts == ['base:allocation'] * 2, contexts
h.set_request_block_size(False)
h.opt_info()
assert h.is_read_only() and h.get_block_size(nbd.SIZE_MINIMUM) == 1
h.set_export_name('disk')
h.set_request_block_size(True)
h.set_full_info(True)
h.opt_go()
assert h.get_canonical_export_name() == 'disk'
assert not h.is_read_only()
assert h.get_block_size(nbd.SIZE_MINIMUM) == 1
h.shutdown()

h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(uri)
h.opt_abort()
";
    libnbd(&host.uri(""), script);
}

#[test]
fn an_export_that_is_not_ready_is_waited_for_only_so_long() {
    requires!("qemu-img");
    let options = ServerOptions {
        ready_limit: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let disk = TestExport::new(Disk::new(1 << 20, 512)).never_ready();
    let host = Host::with(None, options, [("slow", disk)]).unwrap();
    let complaint = fails("qemu-img", &["info", &host.uri("slow")]);
    assert!(complaint.contains("not ready yet"), "{complaint}");
}
