"""`kici-gql cluster-name`: what `clusterRename` does from afar, done on the orchestrator's host."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kici_gql.cli import app
from orchestrator.state import State, StateDirectory


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["cluster-name", *map(str, arguments)])


@pytest.fixture
def home(tmp_path: Path) -> StateDirectory:
    """The state of an orchestrator that does not run."""
    directory = StateDirectory(tmp_path)
    directory.save(State("one", "prod", "clu_1"))
    return directory


def test_get(home: StateDirectory) -> None:
    done = run("get", "--state-dir", home.path)
    assert (done.exit_code, done.stdout) == (0, "prod\n")


def test_set_changes_the_name_and_nothing_else(home: StateDirectory) -> None:
    done = run("set", "live", "--state-dir", home.path)
    assert done.exit_code == 0
    assert done.stdout == "live: as of the next start of the orchestrator\n"
    assert home.load() == State("one", "live", "clu_1"), "its id is how the server knows the cluster again"
    assert run("get", "--state-dir", home.path).stdout == "live\n"
    assert run("set", "live", "--state-dir", home.path).exit_code == 0


@pytest.mark.parametrize("name", ["Prod", "a_b", "-a", "", "a" * 64])
def test_a_bad_name_is_refused(home: StateDirectory, name: str) -> None:
    done = run("set", "--state-dir", home.path, "--", name)
    assert done.exit_code == 1
    assert "not a valid cluster name" in done.stderr
    assert home.load().cluster_name == "prod"


def test_a_running_orchestrator_is_not_written_under(home: StateDirectory) -> None:
    home.lock()
    try:
        done = run("set", "live", "--state-dir", home.path)
    finally:
        home.release()
    assert done.exit_code == 1
    assert "clusterRename" in done.stderr
    assert home.load().cluster_name == "prod"
    assert run("get", "--state-dir", home.path).stdout == "prod\n", "reading is free"


def test_an_orchestrator_that_was_never_given_a_name(home: StateDirectory) -> None:
    home.save(State("one"))
    done = run("get", "--state-dir", home.path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no cluster name yet" in done.stderr
    assert run("set", "live", "--state-dir", home.path).exit_code == 0
    assert home.load() == State("one", "live")


@pytest.mark.parametrize("command", [["get"], ["set", "live"]])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"instanceId": 1, "clusterName": "x"}', "\x00"])
def test_a_file_that_is_not_an_orchestrators(home: StateDirectory, command: list[str], text: str) -> None:
    home.file.write_text(text)
    done = run(*command, "--state-dir", home.path)
    assert done.exit_code == 1
    assert "can't be read" in done.stderr
    assert home.file.read_text() == text


@pytest.mark.parametrize("command", [["get"], ["set", "live"]])
def test_a_directory_that_is_none(tmp_path: Path, command: list[str]) -> None:
    done = run(*command, "--state-dir", tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "nowhere").exists()


def test_what_it_writes_can_be_read_by_others(home: StateDirectory) -> None:
    run("set", "live", "--state-dir", home.path)
    assert json.loads(home.file.read_text()) == {
        "instanceId": "one",
        "clusterName": "live",
        "clusterId": "clu_1",
    }
