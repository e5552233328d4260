import pytest

from kici_gql.rules.labels import LabelKind, kind_of


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("kici:host:x", LabelKind.AUTO),
        ("kici:", LabelKind.AUTO),
        ("kici", LabelKind.USER),
        ("KICI:x", LabelKind.USER),
        ("gpu", LabelKind.USER),
        ("x-kici:y", LabelKind.USER),
    ],
)
def test_labels_that_kici_set_start_with_its_name(label: str, kind: LabelKind) -> None:
    assert kind_of(label) is kind
