"""From a click to the changed row: workflows, runs and their logs."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Org, Visit
from tests.browser.fake_orchestrator import FakeOrchestrator, now, workflow


@pytest.fixture
def orchestrator(org: Org) -> FakeOrchestrator:
    """One that has workflows and obeys."""
    made = org.orchestrator()
    made.connect()
    made.report_workflows(
        workflow("build"),
        workflow(
            "nightly",
            triggers=[
                {"type": "schedule", "config": {"cronExpression": "30 3 * * *", "timezone": "Europe/Berlin"}}
            ],
            repository="acme/infra",
            sourceRepos=["acme/other"],
        ),
        workflow(
            "old",
            lastTriggeredAt="2020-01-01T00:00:00Z",
            triggers=[{"type": "moon", "config": {"phase": "full"}}],
        ),
        version="17",
    )
    made.obey()
    return made


def row(page: Page, name: str) -> Locator:
    return page.locator("tbody tr", has=page.locator(".title", has_text=name))


def test_the_table_and_what_unfolds(visit: Visit, org: Org, orchestrator: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/workflows")
    registry = page.get_by_role("region", name="Registry of north")
    for text in ("In sync", "version 17", "updated"):
        expect(registry).to_contain_text(text)
    expect(row(page, "old")).to_contain_text("Stale")
    expect(row(page, "nightly")).to_contain_text(re.compile(r"in \d+ (h|min)"))
    expect(row(page, "nightly")).to_contain_text("acme/other")
    page.get_by_role("button", name="Triggers and runs of nightly").click()
    expect(page.locator(".trigger:visible")).to_contain_text("30 3 * * *")
    page.get_by_role("button", name="Triggers and runs of old").click()
    expect(page.locator(".trigger", has_text="moon")).to_contain_text("full")
    page.get_by_label("Repository").select_option("acme/infra")
    expect(page.locator("tbody tr:visible .title")).to_have_text(["nightly"])
    page.reload()
    expect(page.locator("tbody tr:visible .title")).to_have_text(["nightly"])


def test_switching_is_seen_in_two_browsers(visit: Visit, org: Org, orchestrator: FakeOrchestrator) -> None:
    one, two = visit(f"{org.path}/workflows"), visit(f"{org.path}/workflows")
    one.get_by_role("switch", name="build enabled").click()
    for page in (one, two):
        expect(page.get_by_role("switch", name="build enabled")).not_to_be_checked()
        expect(row(page, "build")).to_contain_text("disabled")
    orchestrator.refusal = "the registry is read-only"
    two.get_by_role("switch", name="build enabled").click()
    expect(two.get_by_text("the registry is read-only")).to_be_visible()
    expect(two.get_by_role("switch", name="build enabled")).not_to_be_checked()


def test_run_now_shows_the_run_and_its_log(visit: Visit, org: Org, orchestrator: FakeOrchestrator) -> None:
    page = visit(f"{org.path}/workflows")
    row(page, "build").get_by_role("button", name="Run now").click()
    expect(page).to_have_url(re.compile("/runs/"))
    expect(page.locator(".page-head .state")).to_have_text("Running")
    expect(page.locator(".log")).to_contain_text("hello")
    expect(page.locator(".log .ansi-green")).to_have_text("world")
    run_id = page.url.rsplit("/", 1)[-1].partition("?")[0]
    orchestrator.report_lines(run_id, ["a line that came later"], first=2)
    expect(page.locator(".log")).to_contain_text("a line that came later")
    orchestrator.report_lines(run_id, ["far away"], first=9)
    expect(page.locator(".log .gap")).to_contain_text("Lines 4 to 9 are missing")
    page.get_by_label("Search the log").fill("HELLO")
    expect(page.locator(".log mark")).to_have_text("hello")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".page-head .state")).to_have_text("Cancelled")
    page.get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(re.compile(run_id))
    expect(page.get_by_text("Repeats")).to_be_visible()
    orchestrator.finish(page.url.rsplit("/", 1)[-1].partition("?")[0])
    expect(page.locator(".page-head .state")).to_have_text("Success")


def test_deleting_asks_first(visit: Visit, org: Org, orchestrator: FakeOrchestrator) -> None:
    orchestrator.report_run(
        "run-1", "RUNNING", workflowName="build", registrationId="registration-build", startedAt=now()
    )
    page = visit(f"{org.path}/workflows")
    row(page, "build").get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    row(page, "build").get_by_role("button", name="Delete").click()
    dialog.get_by_label("Cancel active runs").check()
    dialog.get_by_role("button", name="Delete").click()
    expect(row(page, "build")).to_have_count(0)
    page.goto("/runs/run-1")
    expect(page.locator(".page-head .state")).to_have_text("Cancelled")


def test_the_list_of_runs_is_live_and_filtered(
    visit: Visit, org: Org, orchestrator: FakeOrchestrator
) -> None:
    for number in range(3):
        orchestrator.report_run(f"run-{number}", "SUCCESS", workflowName="build", branch=f"branch-{number}")
    page = visit(f"{org.path}/runs")
    expect(page.locator("tbody tr")).to_have_count(3)
    orchestrator.report_run("run-3", "RUNNING", workflowName="deploy", startedAt=now())
    expect(page.locator("tbody tr").first).to_contain_text("Running")
    orchestrator.report_run("run-3", "FAILED", completedAt=now())
    expect(page.locator("tbody tr").first).to_contain_text("Failed")
    page.get_by_label("Status").select_option("SUCCESS")
    page.get_by_label("Filter by branch").fill("branch-2")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("status=SUCCESS.*branch=branch-2|branch=branch-2.*status=SUCCESS"))
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="run-2").click()
    expect(page.get_by_role("heading", name="build")).to_be_visible()


def test_more_runs_than_the_stream_begins_with(
    visit: Visit, org: Org, orchestrator: FakeOrchestrator
) -> None:
    for number in range(130):
        orchestrator.report_run(f"run-{number:03}", "SUCCESS", workflowName="build", durationMs=1000 + number)
    page = visit(f"{org.path}/runs")
    expect(page.locator("tbody tr")).to_have_count(100)
    page.get_by_role("button", name="Older runs").click()
    expect(page.locator("tbody tr")).to_have_count(130)
    expect(page.get_by_role("button", name="Older runs")).to_be_hidden()


def test_a_long_log_opens_at_its_end(visit: Visit, org: Org, orchestrator: FakeOrchestrator) -> None:
    job = {"jobId": "job-1", "name": "build", "status": "RUNNING", "startedAt": now()}
    orchestrator.report_run("run-1", "RUNNING", workflowName="build", startedAt=now(), jobs=[job])
    for first in range(0, 20_000, 5000):
        orchestrator.report_lines("run-1", [f"line {first + number}" for number in range(5000)], first=first)
    page = visit("/runs/run-1")
    expect(page.locator(".log")).to_contain_text("line 19999")
    assert page.locator(".log-line").count() < 200
    page.get_by_role("button", name="Earlier lines").click()
    expect(page.get_by_label("Follow")).not_to_be_checked()
    page.get_by_label("Search the log").fill("line 18500")
    expect(page.locator(".log mark")).to_have_text("line 18500")
    page.get_by_role("button", name="Jump to end").click()
    orchestrator.report_lines("run-1", ["the very last"], first=20_000)
    expect(page.locator(".log")).to_contain_text("the very last")
