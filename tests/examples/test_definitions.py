from pathlib import Path

import pytest

from orchestrator.definitions import BadDefinition, Declared, Step, parse

JOB = '[[w.jobs.build.steps]]\nrun = "make"\n'
WORKFLOW = f'[w]\nrepository = "x/y"\n{JOB}'


def test_a_workflow_is_read_with_all_it_has() -> None:
    text = f"""
    [w]
    repository = "x/y"
    triggers = [{{ type = "schedule", cron = "0 3 * * 1", timezone = "Asia/Tokyo" }}, {{ type = "push", branches = ["main"] }}]
    [w.inputs.mode]
    type = "choice"
    options = ["a", "b"]
    default = "a"
    {JOB}
    [w.jobs.test]
    name = "All tests"
    needs = ["build"]
    runs-on = ["linux"]
    steps = [{{ name = "One", run = "true" }}, {{ run = "first line" }}]
    """
    workflow = parse(text)["w"]
    assert (workflow.name, workflow.repository) == ("w", "x/y")
    assert workflow.schedules == [("0 3 * * 1", "Asia/Tokyo")]
    assert workflow.triggers[1].config == {"branches": ["main"]}
    assert workflow.inputs == (Declared("mode", "CHOICE", False, "a", ("a", "b")),)
    build, test = workflow.jobs
    assert build.steps == (Step("make", "make"),)
    assert (test.name, test.needs, test.runs_on) == ("All tests", ("build",), ("linux",))
    assert [step.name for step in test.steps] == ["One", "first line"]


def test_inputs_are_given_or_have_defaults_or_are_missed() -> None:
    text = WORKFLOW + '[w.inputs.a]\nrequired = true\n[w.inputs.b]\ndefault = "2"\n[w.inputs.c]\n'
    workflow = parse(text)["w"]
    assert workflow.values({"a": "1", "other": "x"}) == {"a": "1", "b": "2"}
    with pytest.raises(ValueError, match="'a' is required"):
        workflow.values({})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "not TOML"),
        ("w = 1", "w is no table"),
        ("[w]\n" + JOB, "w.repository is missing"),
        ('[w]\nrepository = "x"', "it has no jobs"),
        ('[w]\nrepository = "x"\n[w.jobs.a]', "w.jobs.a: it has no steps"),
        (WORKFLOW + "[w.jobs.build.more]", "unknown key 'more'"),
        (WORKFLOW + '[w.jobs.b]\nneeds = ["nobody"]\nsteps = [{ run = "x" }]', "there is no job 'nobody'"),
        (
            WORKFLOW + '[w.jobs.b]\nneeds = ["b"]\nsteps = [{ run = "x" }]',
            "jobs wait for each other: b",
        ),
        ('["no\\nname"]', "a name has"),
        (WORKFLOW + '[w.inputs.a]\ntype = "date"', "'date' is none of"),
        (WORKFLOW + '[w.inputs.a]\ntype = "choice"', "a choice needs options"),
        (WORKFLOW.replace("[w]", '[w]\ntriggers = [{ type = "schedule", cron = "61 * * * *" }]'), "cron"),
        (
            WORKFLOW.replace(
                "[w]", '[w]\ntriggers = [{ type = "schedule", cron = "* * * * *", timezone = "Mars" }]'
            ),
            "no time zone",
        ),
        (WORKFLOW.replace("[w]", '[w]\ntriggers = [{ type = "x", since = 2020-01-01 }]'), "can be told"),
        (
            WORKFLOW.replace("[w]", '[w]\ntriggers = [{ type = "schedule", cron = "* * * * *" }]')
            + "[w.inputs.a]\nrequired = true",
            "can't give the input",
        ),
        (WORKFLOW + "[w.jobs.b]\nsteps = [" + '{ run = "x" },' * 200 + "]", "more than 200 steps"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(BadDefinition, match=complaint):
        parse(text)


def test_the_samples_are_good(examples: Path) -> None:
    samples = parse((examples / "workflows.toml").read_text())
    assert list(samples) == ["hello", "build-and-test", "fails", "slow", "nightly"]
    assert samples["nightly"].schedules
    assert samples["build-and-test"].jobs[1].needs == ("build",)
