"""What all benchmarks share: server processes on one core, the load on the other, CPU and memory, tables."""

import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

SERVER_CORE, CLIENT_CORE = "0", "1"
READY_SECONDS = 120.0
ROOT = Path(__file__).parents[2]


class Peer:
    """A running server process and what it costs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process
        self._stats = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """CPU time of the process so far, the kernel's part of it included; on Linux to the nanosecond."""
        if sys.platform == "linux":
            return time.clock_gettime(~self._process.pid << 3 | 2)  # clock_getcpuclockid(3)
        times = self._stats.cpu_times()
        return times.user + times.system

    def resident_kib(self) -> float:
        return self._stats.memory_info().rss / 1024

    def terminate(self) -> float:
        """Ask it to end; seconds until it did."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        return time.monotonic() - begun

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def pin_to(core: str) -> list[str]:
    """The words in front of a command that keep it on one core; none where that can't be done."""
    return ["taskset", "-c", core] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def pin_client() -> None:
    """Keep this process off the server's core."""
    if pin_to(CLIENT_CORE):
        os.sched_setaffinity(0, {int(CLIENT_CORE)})


@contextmanager
def serving(command: Sequence[str], **environment: str) -> Iterator[Peer]:
    """Run a peer that listens on `$BENCH_PORT`, in a folder of its own that is removed afterwards."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="kici-bench-") as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KICI_GQL_")}
        variables = kept | environment | {"BENCH_PORT": str(port), "BENCH_FOLDER": folder}
        variables["PYTHONPATH"] = str(ROOT)
        process = subprocess.Popen([*pin_to(SERVER_CORE), *command], env=variables, cwd=folder)
        peer = Peer(process, port)
        try:
            _await_port(process, port)
            yield peer
        finally:
            peer.end()


def python_peer(name: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.peers.{name}"]


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def repeats() -> int:
    """How often to measure: the first argument of each benchmark."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else 1


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


median = statistics.median


def headline(title: str) -> None:
    python = platform.python_version()
    print(f"\n### {title}\n\n{os.cpu_count()} cores, {platform.machine()}, Python {python}\n", flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(_cell(value) for value in row)} |")
    print(flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
