//! Detection of vanished TCP peers: a machine that loses its power or its network says no
//! good-bye, and its connection would stay for ever.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;

/// Probes that a peer may leave unanswered.
const PROBES: u32 = 3;

/// The longest idle time and interval that the kernel takes, in seconds.
const LONGEST: u64 = 32_767;

/// Has the kernel end the connection `socket` when its peer has acknowledged
/// nothing for `limit`. The first half of that time may be silence; then the peer is
/// probed every sixth of it.
/// The limit also holds for data that was sent and is not acknowledged. A peer that keeps
/// its window shut, so that it takes no answers at all, is gone after the same time
/// although it answers the probes.
pub(crate) fn watch(socket: impl AsFd, limit: Duration) -> rustix::io::Result<()> {
    let socket = socket.as_fd();
    let whole = |time: Duration| Duration::from_secs(time.as_millis().div_ceil(1000) as u64);
    let part = |time| whole(time).clamp(Duration::from_secs(1), Duration::from_secs(LONGEST));
    sockopt::set_tcp_keepidle(socket, part(limit / 2))?;
    sockopt::set_tcp_keepintvl(socket, part(limit / 6))?;
    sockopt::set_tcp_keepcnt(socket, PROBES)?;
    // The kernel treats the value as a signed number.
    let millis = limit.as_millis().clamp(1, i32::MAX as u128) as u32;
    sockopt::set_tcp_user_timeout(socket, millis)?;
    sockopt::set_socket_keepalive(socket, true)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn half_is_silence_and_the_rest_is_three_probes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let secs = Duration::from_secs;
        for (limit, idle, interval) in
            [(120, 60, 20), (12, 6, 2), (1, 1, 1), (43_200, 21_600, 7200)]
        {
            watch(&socket, secs(limit)).unwrap();
            assert!(sockopt::socket_keepalive(&socket).unwrap());
            assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), secs(idle));
            assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), secs(interval));
            assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), PROBES);
            let user = sockopt::tcp_user_timeout(&socket).unwrap();
            assert_eq!(u64::from(user), limit * 1000);
        }
        // A limit beyond the kernel's range becomes its maximum, and is no error.
        watch(&socket, secs(1 << 40)).unwrap();
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), secs(LONGEST));
    }
}
