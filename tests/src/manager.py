"""A service manager for tests: starts one program as systemd does, takes its
notifications, and keeps descriptors for it from one process to the next.

    manager.py DIRECTORY [NAME=PATH…] -- PROGRAM ARGUMENT…

Makes a listening unix socket at each PATH and passes it under NAME. SIGUSR1 restarts
the program, SIGUSR2 kills and restarts it, SIGHUP is passed on, SIGTERM ends both.
Says what happens in lines on standard output.
"""

import array
import os
import select
import signal
import socket
import sys

directory, rest = sys.argv[1], sys.argv[2:]
split = rest.index("--")
units, program = rest[:split], rest[split + 1 :]


def say(*words):
    print(*words, flush=True)


notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify_path = os.path.join(directory, "notify")
notify.bind(notify_path)
notify.setblocking(False)

passed = []  # of socket units: (name, descriptor)
for unit in units:
    name, path = unit.split("=", 1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    passed.append((name, listener.detach()))
stored = []  # by the program: (name, descriptor)

wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
    signal.signal(number, lambda *_: None)


def receive():
    """Everything that the program has said so far."""
    while True:
        try:
            data, ancillary, flags, _ = notify.recvmsg(65536, socket.CMSG_SPACE(4 * 256))
        except BlockingIOError:
            return
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "too long"
        descriptors = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(payload)
        lines = data.decode().splitlines()
        fields = dict(line.split("=", 1) for line in lines)
        name = fields.get("FDNAME", "stored")
        if fields.get("FDSTORE") == "1":
            assert ":" not in name and 0 < len(name) < 256, name
            stored.extend((name, descriptor) for descriptor in descriptors)
        else:
            for descriptor in descriptors:  # BARRIER=1 waits for that
                os.close(descriptor)
        if fields.get("FDSTOREREMOVE") == "1":
            for entry in [entry for entry in stored if entry[0] == name]:
                stored.remove(entry)
                os.close(entry[1])
        say("told", " ".join(lines))


def drop_hung_up():
    """As a manager does by itself, unless it is told not to."""
    for entry in list(stored):
        poll = select.poll()
        poll.register(entry[1], 0)
        try:
            if poll.poll(0):
                stored.remove(entry)
                os.close(entry[1])
        except OSError:
            pass


def start():
    drop_hung_up()
    descriptors = passed + stored
    pid = os.fork()
    if pid == 0:
        # Out of the way of 3 and those after it first.
        high = [os.dup(descriptor) for _, descriptor in descriptors]
        base = max(high + [2]) + len(high) + 3
        high = [os.dup2(fd, base + at) for at, fd in enumerate(high)]
        for at, fd in enumerate(high):
            os.dup2(fd, 3 + at, inheritable=True)
        os.closerange(3 + len(high), base + len(high) + 1)
        os.environ["NOTIFY_SOCKET"] = notify_path
        if descriptors:
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ["LISTEN_FDS"] = str(len(descriptors))
            os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in descriptors)
        if "WATCHDOG_USEC" in os.environ:
            os.environ["WATCHDOG_PID"] = str(os.getpid())
        os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", *program])
    say("started", pid, "with", ",".join(name for name, _ in descriptors))
    return pid


def reap(pid):
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        receive()
        if found:
            say("ended", os.waitstatus_to_exitcode(status))
            return
        select.select([notify], [], [], 0.01)


pid = start()
while True:
    ready, _, _ = select.select([notify, wake], [], [])
    receive()
    if wake not in ready:
        continue
    for number in os.read(wake, 64):
        if number == signal.SIGHUP:
            os.kill(pid, signal.SIGHUP)
        elif number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(pid, signal.SIGTERM if number == signal.SIGUSR1 else signal.SIGKILL)
            reap(pid)
            pid = start()
        elif number == signal.SIGTERM:
            os.kill(pid, signal.SIGTERM)
            reap(pid)
            sys.exit(0)
        elif number == signal.SIGCHLD:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                receive()
                say("ended by itself", os.waitstatus_to_exitcode(status))
                sys.exit(1)
