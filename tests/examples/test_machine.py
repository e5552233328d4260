import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator import machine


def test_the_host_is_this_machine() -> None:
    host = machine.describe_host()
    assert host.hostname == socket.gethostname()
    assert host.running_as == psutil.Process().username()
    assert host.platform == sys.platform
    assert host.cpu_count >= 1
    assert host.memory_total_mb == round(psutil.virtual_memory().total / 2**20)


@pytest.mark.parametrize(
    ("python_says", "we_say"),
    [("x86_64", "x64"), ("AMD64", "x64"), ("aarch64", "arm64"), ("arm64", "arm64"), ("", "unknown")],
)
def test_architectures_have_their_kici_names(
    python_says: str, we_say: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: python_says)
    assert machine.describe_host().arch == we_say


def test_host_figures_are_plausible() -> None:
    figures = machine.host_figures()
    assert 0 < figures.memory_used_mb < machine.describe_host().memory_total_mb
    assert figures.uptime_seconds > 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_host_uptime_is_what_the_kernel_says() -> None:
    kernel_says = float(Path("/proc/uptime").read_text().split()[0])
    assert machine.host_figures().uptime_seconds == pytest.approx(kernel_says, abs=2)


def test_process_figures_are_those_of_the_process() -> None:
    process = psutil.Process(os.getpid())
    figures = machine.process_figures(process)
    assert figures.memory_used_mb == pytest.approx(process.memory_info().rss / 2**20, rel=0.2)
    assert figures.uptime_seconds < 3600


def test_a_clock_that_was_set_back_gives_no_negative_uptime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: psutil.boot_time() - 3600)
    assert machine.host_figures().uptime_seconds == 0


def test_versions_name_python_and_the_system() -> None:
    versions = machine.runtime_versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["os"]
