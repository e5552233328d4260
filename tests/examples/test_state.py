import uuid
from pathlib import Path

import pytest

from orchestrator.state import State, StateDirectory, StateError


def test_the_first_start_invents_an_instance_id_and_keeps_it(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    first = directory.load()
    assert str(uuid.UUID(first.instance_id)) == first.instance_id
    assert first.cluster_name is None
    assert StateDirectory(tmp_path).load() == first


def test_names_survive(tmp_path: Path) -> None:
    StateDirectory(tmp_path).save(State("one", "lab"))
    assert StateDirectory(tmp_path).load() == State("one", "lab")


def test_two_orchestrators_cannot_share_a_directory(tmp_path: Path) -> None:
    first, second = StateDirectory(tmp_path / "new"), StateDirectory(tmp_path / "new")
    first.lock()
    with pytest.raises(StateError, match="another orchestrator"):
        second.lock()
    first.release()
    second.lock()
    second.release()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"instanceId": 1, "clusterName": null}', '{"instanceId": "x"}']
)
def test_a_damaged_file_is_named_and_never_overwritten(text: str, tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.file.write_text(text)
    with pytest.raises(StateError, match=r"orchestrator\.json"):
        directory.load()
    assert directory.file.read_text() == text


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="file/below"):
        StateDirectory(tmp_path / "file" / "below").lock()
