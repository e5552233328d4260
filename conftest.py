"""How many workers run tests and in which order, what the garbage collector leaves alone, and what a skip means.

Files that wait for real processes come first: with several workers the last ones to end are then short.

A skip for want of a service is a courtesy to a laptop and a failure in CI.

A test that lacks PostgreSQL, Redis, Node or Chromium skips with a reason that starts with `needs `, as in
`pytest.skip("needs Redis on 127.0.0.1:6379")`. With CI=true such skips fail the run and are listed at its end,
so that CI can't turn green by losing a service.
"""

import gc
import os

import pytest

NEEDS = "needs "


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RequiredServices(in_ci=os.environ.get("CI") == "true"), "required-services")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: half of the time of a worker is spent waiting for other processes."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    long = {item.path for item in items if item.get_closest_marker("e2e") or item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Modules, schema and collected tests stay until the end: the collector need not walk them during each test."""
    gc.collect()
    gc.freeze()


class RequiredServices:
    """Remembers what was skipped for want of a service; in CI says so at the end and fails the run."""

    def __init__(self, in_ci: bool) -> None:
        self.in_ci = in_ci
        self.missing: dict[str, str] = {}  # by node id: with xdist each worker reports a skipped module again

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if reason.startswith(NEEDS):
                self.missing[report.nodeid] = reason

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.in_ci and self.missing and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.in_ci and self.missing:
            terminalreporter.section(
                "CI lacks what these tests need, so the run fails", sep="=", red=True, bold=True
            )
            for nodeid, reason in sorted(self.missing.items()):
                terminalreporter.line(f"{nodeid}: {reason}", red=True)
