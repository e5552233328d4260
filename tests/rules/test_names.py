import pytest
from hypothesis import given
from hypothesis import strategies as st

from kici_gql.errors import InvalidInput
from kici_gql.rules import names


@pytest.mark.parametrize("name", ["a", "0", "prod", "a-b", "a--b", "0-9", "a" * 63])
def test_good_names(name: str) -> None:
    assert names.check_name(name, "clusterName") == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "ä", "a" * 64, "a b", "a\n", "prod\x00", "٣", "a" * 100_000]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        names.check_name(name, "clusterName")
    assert raised.value.path == ("clusterName",)
    assert raised.value.hint
    assert len(raised.value.message) < 200, "a huge name is not sent back whole"


def test_generated_names_are_good_and_differ() -> None:
    generated = {names.generate_cluster_name() for _ in range(100)}
    assert len(generated) > 90
    assert all(names.check_name(name, "x") for name in generated)


@given(st.text(max_size=80))
def test_what_passes_is_a_dns_label(name: str) -> None:
    try:
        names.check_name(name, "x")
    except InvalidInput:
        return
    assert 1 <= len(name) <= 63
    assert name.isascii()
    assert name == name.lower()
    assert name[0] != "-" != name[-1]


def test_who_has_no_name_is_shown_by_its_connection() -> None:
    assert names.display_id("7f3c-uuid", instance_named=False, connection_id="0123456789") == "01234567"
    assert names.display_id("east-1", instance_named=True, connection_id="0123456789") == "east-1"
