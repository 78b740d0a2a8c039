"""The program of hostile images: `python hostile.py WAY`. With a seed other than 0 it plays fair.

So one evaluation of two seeds has both a hostile run and an honest one, side by side. What a way
tries is printed, one `try` per line, with how it ended.
"""

import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import sys
import time

from gym_remote.client import RemoteEnv

SOCKET = os.environ["RETRO_CONTEST_SOCKET"]
OUT = os.environ["RETRO_CONTEST_OUT"]
SEED = int(os.environ["RETRO_CONTEST_SEED"])
RIGHT = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def play(steps=10_000_000):
    """Hold right for some timesteps, by default until the budget ends."""
    import numpy as np

    env = RemoteEnv(SOCKET)
    action = np.array(RIGHT, np.int8)
    env.reset()
    for _ in range(steps):
        if env.step(action)[2]:
            env.reset()
    return env


def play_fair():
    from gym_remote.exceptions import TimestepTimeoutError

    try:
        play()
    except TimestepTimeoutError:
        print("the budget is spent", flush=True)


def attempt(name, action):
    try:
        result = action()
    except OSError as error:
        print(f"try {name}: refused ({error.strerror or error})", flush=True)
    else:
        print(f"try {name}: DONE {result}", flush=True)


def write(path):
    with open(path, "w"):
        pass


def network():
    print("interfaces:", *sorted(os.listdir("/sys/class/net")), flush=True)
    attempt("connect", lambda: socket.create_connection(("1.1.1.1", 53), timeout=3))
    attempt("resolve", lambda: socket.getaddrinfo("example.org", 443))
    attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    play_fair()


def system_calls():
    """What a seccomp profile must refuse, and what an agent must still have."""
    libc = ctypes.CDLL(None, use_errno=True)
    memory = ctypes.create_string_buffer(256)

    def call(number, *arguments):
        if libc.syscall(ctypes.c_long(number), *arguments) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def opened(family, kind, protocol=0):
        socket.socket(family, kind, protocol).close()

    stream, raw, packet = socket.SOCK_STREAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET
    attempt("AF_VSOCK", lambda: opened(40, stream))
    attempt("AF_NETLINK", lambda: opened(16, raw))
    attempt("AF_PACKET", lambda: opened(17, raw))
    attempt("AF_ALG", lambda: opened(38, packet))
    attempt("SCTP", lambda: opened(socket.AF_INET, stream, 132))
    attempt("io_uring_setup", lambda: call(425, 4, memory))
    attempt("bpf", lambda: call(321, 0, memory, 0))
    attempt("userfaultfd", lambda: call(323, 1))
    attempt("add_key", lambda: call(248, b"user", b"x", b"y", 1, -2))
    attempt("request_key", lambda: call(249, b"user", b"x", None, -2))
    attempt("keyctl", lambda: call(250, 0, -3, 0))
    attempt("perf_event_open", lambda: call(298, memory, 0, -1, -1, 0))
    attempt("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None))
    attempt("unshare", lambda: call(272, 0x10000000))
    attempt("clone into a user namespace", lambda: call(56, 0x10000011, 0, 0, 0, 0))
    attempt("ptrace", lambda: call(101, 0, 0, 0, 0))
    attempt("process_vm_readv", lambda: call(310, os.getpid(), 0, 0, 0, 0, 0))
    attempt("kexec_load", lambda: call(246, 0, 0, 0, 0))
    attempt("init_module", lambda: call(175, memory, 0, b""))
    attempt("finit_module", lambda: call(313, 0, b"", 0))

    import subprocess
    import threading

    import torch

    with socket.socket() as listener, socket.socket(socket.AF_INET6):
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        socket.create_connection(listener.getsockname()).close()
    thread = threading.Thread(target=subprocess.run, args=(["true"],))
    thread.start()
    thread.join()
    layer = torch.nn.Conv2d(3, 8, 3)
    layer(torch.zeros(4, 3, 64, 64)).sum().backward()
    print("works:", tuple(layer.weight.grad.shape), flush=True)
    play_fair()


def escape_text():
    """The last words of an agent that wants to talk to the terminal of the host."""
    sys.stdout.buffer.write(b"\x1b]0;owned\x07\x1b[31m\xc2\x9b2J" + b"x" * 900_000 + b"\n")
    sys.stdout.flush()
    sys.exit(3)


def escape():
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    for path in (
        "/",
        "/etc",
        "/usr",
        "/var",
        "/opt/venv",
        "/agent",
        "/agent/agent",
        "/sys",
        "/proc",
    ):
        attempt(f"write {path}", lambda path=path: write(f"{path}/hostile"))
    attempt("write sysctl", lambda: write("/proc/sys/kernel/hostname"))
    attempt("write core_pattern", lambda: write("/proc/sys/kernel/core_pattern"))
    attempt("become root", lambda: os.setuid(0))
    attempt("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
    attempt("remount", lambda: call("mount", b"none", b"/", None, 32, None))
    attempt("chroot", lambda: os.chroot("/tmp"))
    attempt("device", lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)))
    attempt(
        "user namespace and mount",
        lambda: (call("unshare", 0x10020000), call("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
    )
    attempt("docker", lambda: os.stat("/var/run/docker.sock"))
    print("user:", os.getuid(), "group:", os.getgid(), "of", os.getgroups(), flush=True)
    status = dict(
        line.split(":\t")
        for line in pathlib.Path("/proc/self/status").read_text().splitlines()
        if line.startswith(("CapEff", "CapBnd", "NoNewPrivs"))
    )
    print("status:", sorted(status.items()), flush=True)
    # Whatever could name the level or the seed: the environment, the mounts, the hostname, and the
    # environment and command line of every process.
    known = (
        str(sorted(os.environ.items()))
        + pathlib.Path("/proc/self/mountinfo").read_text()
        + os.uname().nodename
    )
    proc = pathlib.Path("/proc")
    for file in [*proc.glob("[0-9]*/environ"), *proc.glob("[0-9]*/cmdline")]:
        try:
            known += file.read_text(errors="replace")
        except OSError:
            continue
    for word in ("Airstriker", "Level1", "seed-", "ENVIRONMENT_SEED"):
        print("knows", word, word in known, flush=True)
    play_fair()


def fork():
    while True:
        try:
            if os.fork() == 0:
                continue
        except OSError as error:
            print("fork:", error.strerror, flush=True)
            time.sleep(600)


def memory():
    env = play(30)
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1 << 20)) * 16)
        assert env is not None


def fill(path):
    written = 0
    try:
        with open(path, "wb") as file:
            for _ in range(2048):
                written += file.write(b"x" * (1 << 20))
    except OSError as error:
        print(f"filled {path}: {error.strerror}", flush=True)
    print(f"filled {path}: {written >> 20} MiB", flush=True)


def disk():
    for folder in ("/tmp", "/dev/shm"):
        fill(f"{folder}/junk")
        os.unlink(f"{folder}/junk")
    fill(f"{OUT}/junk")
    with open(f"{OUT}/hole", "wb") as file:
        file.truncate(1 << 40)
    os.symlink("/etc/passwd", f"{OUT}/link")
    os.mkfifo(f"{OUT}/pipe")
    play_fair()


def volume():
    """The image declares /data as a volume, which would be a folder on the host's disk."""
    fill("/data/junk")
    play_fair()


def log():
    print("first line")
    for _ in range(200):
        sys.stdout.write("a log that goes on and on and on\n" * 8192)
    print("last line", flush=True)
    play_fair()


def never_connect():
    time.sleep(600)


def connect_and_sleep():
    env = RemoteEnv(SOCKET)
    time.sleep(600)
    env.close()


def connection():
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(os.path.join(SOCKET, "sock"))
    return connected


def garbage():
    connected = connection()
    connected.sendall(b"\x00\xffGET / HTTP/1.1\r\n\x0c")
    time.sleep(600)


def gigabyte():
    connected = connection()
    for _ in range(1024):
        connected.sendall(b"[" * (1 << 20))
    time.sleep(600)


def links():
    """Replace the socket and the frame file by links, and whatever else may trip the server."""
    for name in ("sock", "ob"):
        path = os.path.join(SOCKET, name)
        attempt(f"remove {name}", lambda path=path: os.unlink(path))
        attempt(f"rename {name}", lambda path=path: os.rename(path, path + "2"))
        attempt(f"chmod {name}", lambda path=path: os.chmod(path, 0o777))
    attempt("link", lambda: os.symlink("/etc/passwd", os.path.join(SOCKET, "ob2")))
    attempt("hard link", lambda: os.link(os.path.join(SOCKET, "ob"), os.path.join(SOCKET, "ob3")))
    attempt("new file", lambda: write(os.path.join(SOCKET, "junk")))
    directory = os.open(SOCKET, os.O_RDONLY)
    attempt("lock", lambda: fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB))
    print("in the directory:", *sorted(os.listdir(SOCKET)), flush=True)
    play_fair()


def frame():
    """Take the frame file's space: the server has nothing to write the next frame to."""
    env = play(30)
    with open(os.path.join(SOCKET, "ob"), "r+b", buffering=0) as file:
        file.truncate(0)
        file.seek(215_040)
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError as error:
            print("frame file:", error.strerror, flush=True)
    env.step(env.action_space.sample())


def exit_at_once():
    sys.exit(3)


def leave_quietly():
    sys.exit(0)


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        play_fair()
    finally:
        time.sleep(600)


def honest():
    with open(f"{OUT}/learnt", "w") as file:
        file.write("what was learnt")
    pathlib.Path(OUT, "folder").mkdir()
    pathlib.Path(OUT, "folder/more").write_bytes(b"\0" * 100_000)
    play_fair()


def forever():
    play()


if __name__ == "__main__":
    globals()[sys.argv[1]]() if SEED == 0 else play_fair()
