from pathlib import Path

import pytest

from orchestrator.book import MOST_ANSWERS, Answer, Book
from orchestrator.definitions import BadDefinition
from orchestrator.registry import Registry, Telling
from orchestrator.state import StateError

ONE = '[{name}]\nrepository = "x/y"\n[[{name}.jobs.a.steps]]\nrun = "{run}"\n'


def text(**runs: str) -> str:
    return "".join(ONE.format(name=name, run=run) for name, run in runs.items())


def registry(folder: Path, content: str | None = None) -> Registry:
    """As after a start in this folder."""
    file = folder / "workflows.toml"
    if content is not None:
        file.write_text(content)
    book = Book(folder / "book.json")
    book.load()
    found = Registry(file, book)
    found.load()
    return found


def test_its_version_grows_with_each_change_and_with_nothing_else(tmp_path: Path) -> None:
    it = registry(tmp_path, text(a="1", b="2"))
    assert (it.version, list(it.workflows)) == ("1", ["a", "b"])
    assert not it.refresh()
    it.set_enabled("a", enabled=False)
    it.set_enabled("a", enabled=False)
    assert it.version == "2"
    it.book.save()
    assert registry(tmp_path).version == "2"
    (tmp_path / "workflows.toml").write_text(text(a="1", b="2", c="3"))
    assert it.refresh()
    assert (it.version, list(it.workflows)) == ("3", ["a", "b", "c"])


def test_what_users_changed_survives_a_restart(tmp_path: Path) -> None:
    it = registry(tmp_path, text(a="1", b="2"))
    it.set_enabled("a", enabled=False)
    it.delete("b")
    it.book.save()
    again = registry(tmp_path)
    assert list(again.workflows) == ["a"]
    assert not again.is_enabled("a")
    again.set_enabled("a", enabled=True)
    assert again.is_enabled("a")


def test_a_deleted_workflow_comes_back_with_a_new_definition(tmp_path: Path) -> None:
    it = registry(tmp_path, text(a="1"))
    it.delete("a")
    assert it.workflows == {}
    (tmp_path / "workflows.toml").write_text(text(a="2"))
    assert it.refresh()
    assert list(it.workflows) == ["a"]


def test_a_bad_file_is_refused_at_the_start_and_told_later(tmp_path: Path) -> None:
    it = registry(tmp_path, text(a="1"))
    file = tmp_path / "workflows.toml"
    for content in ("nonsense", "[b]"):
        file.write_text(content)
        assert it.refresh()
        assert not it.refresh()
        assert it.error is not None
        assert list(it.workflows) == ["a"]
        with pytest.raises(BadDefinition):
            registry(tmp_path)
    file.unlink()
    assert it.refresh()
    assert not it.refresh()
    file.write_text(text(a="1"))
    assert it.refresh()
    assert it.error is None


def test_the_server_is_told_everything_first_and_then_what_changed(tmp_path: Path) -> None:
    it, telling = registry(tmp_path, text(a="1", b="2", c="3")), Telling()
    first = telling.news(it)
    assert first is not None
    assert (first["full"], first["registryVersion"], len(first["workflows"])) == (True, "1", 3)
    telling.told(it, it.inputs())
    assert telling.news(it) is None
    it.set_enabled("a", enabled=False)
    it.delete("b")
    second = telling.news(it)
    assert second is not None
    assert [(each["name"], each["enabled"]) for each in second["workflows"]] == [("a", False)]
    assert (second["full"], second["removed"], second["registryVersion"]) == (False, ["b"], "3")
    it.error = "unreadable"
    telling.told(it, it.inputs())
    it.error = None
    assert telling.news(it) == {
        "full": False, "registryVersion": "3", "registryError": None, "workflows": [], "removed": [],
    }  # fmt: skip


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    it = Registry(None, Book(tmp_path / "book.json"))
    it.load()
    assert not it.refresh()
    assert it.workflows == {}


def test_the_book_keeps_what_was_written_and_forgets_old_answers(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.json")
    book.load()
    for number in range(MOST_ANSWERS + 1):
        book.answer(f"cmd-{number}", Answer(True, None, {"n": number}))
    book.runs["r"] = {"ended": {"runId": "r"}}
    book.save()
    again = Book(book.file)
    again.load()
    assert len(again.answers) == MOST_ANSWERS
    assert again.answers[f"cmd-{MOST_ANSWERS}"] == Answer(True, None, {"n": MOST_ANSWERS})
    assert again.runs == book.runs


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": "x"}'])
def test_a_damaged_book_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "book.json").write_text(content)
    with pytest.raises(StateError, match=r"book\.json"):
        Book(tmp_path / "book.json").load()
