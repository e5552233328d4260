"""Figures of the machine that this process runs on, in the words and units of the kici_gql API."""

import platform
import sys
import time
from dataclasses import dataclass

import psutil

_BYTES_PER_MB = 1024 * 1024

# KiCI speaks Node's names for architectures; these are the ones that differ from Python's.
_ARCH_NAMES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "i386": "ia32", "i686": "ia32"}


@dataclass(frozen=True, slots=True)
class Host:
    """What stays the same about a machine while a program runs on it. Memory is in MiB."""

    hostname: str
    running_as: str
    platform: str
    arch: str
    cpu_count: int
    memory_total_mb: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What changes: memory in use in MiB, and whole seconds since the start."""

    memory_used_mb: int
    uptime_seconds: int


def describe_host() -> Host:
    """This machine, and the user that this process runs as."""
    return Host(
        hostname=platform.node() or "localhost",
        running_as=psutil.Process().username(),
        platform=sys.platform,
        arch=_arch(platform.machine()),
        cpu_count=psutil.cpu_count() or 1,
        memory_total_mb=_megabytes(psutil.virtual_memory().total),
    )


def host_figures() -> Figures:
    """Memory in use on the whole machine, and seconds since it booted."""
    memory = psutil.virtual_memory()
    # "available" and not "free": the page cache is memory that a program can have at once.
    return Figures(_megabytes(memory.total - memory.available), _seconds_since(psutil.boot_time()))


def process_figures(process: psutil.Process) -> Figures:
    """Resident memory of one process, and seconds since it started.

    Raises psutil.NoSuchProcess when the process is gone.
    """
    return Figures(_megabytes(process.memory_info().rss), _seconds_since(process.create_time()))


def runtime_versions() -> dict[str, str]:
    """Names and versions of what the program runs on, for people who look for a difference."""
    return {
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}".strip(),
        "psutil": psutil.__version__,
    }


def _arch(machine: str) -> str:
    return _ARCH_NAMES.get(machine.lower(), machine.lower() or "unknown")


def _megabytes(size_bytes: int) -> int:
    return round(size_bytes / _BYTES_PER_MB)


def _seconds_since(unix_time: float) -> int:
    # A wall clock that was set back must not yield a negative age.
    return max(0, int(time.time() - unix_time))
