"""Where a command may go: to the primary whenever in doubt."""

import pytest

from marchproxy.modules.dblb.mongodb.preference import Mode, NotUnderstood, mode_of
from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.command import read_command

SECONDARY = {"mode": "secondary"}
PREFERRED = {"mode": "secondaryPreferred"}


def mode(document):
    return mode_of(read_command(message.build({**document, "$db": "test"}, number=1)))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"find": "x"}, Mode.PRIMARY),
        ({"find": "x", "$readPreference": SECONDARY}, Mode.SECONDARY),
        ({"find": "x", "$readPreference": PREFERRED}, Mode.SECONDARY_PREFERRED),
        ({"find": "x", "$readPreference": {"mode": "nearest", "tags": ({},)}}, Mode.NEAREST),
        ({"find": "x", "$readPreference": {**PREFERRED, "tags": ({"dc": "x"},)}}, Mode.PRIMARY),
        ({"find": "x", "$readPreference": {**PREFERRED, "maxStalenessSeconds": 90}}, Mode.PRIMARY),
        ({"find": "x", "$readPreference": {**SECONDARY, "maxStalenessSeconds": -1}}, Mode.SECONDARY),
        ({"insert": "x", "$readPreference": SECONDARY}, Mode.PRIMARY),
        ({"unheard of": "x", "$readPreference": SECONDARY}, Mode.PRIMARY),
        ({"find": "x", "autocommit": False, "$readPreference": SECONDARY}, Mode.PRIMARY),
        ({"aggregate": "x", "pipeline": ({"$match": {}},), "$readPreference": SECONDARY}, Mode.SECONDARY),
        ({"aggregate": "x", "pipeline": ({"$out": "y"},), "$readPreference": SECONDARY}, Mode.PRIMARY),
        ({"aggregate": "x", "pipeline": ({"$merge": {}},), "$readPreference": SECONDARY}, Mode.PRIMARY),
    ],
)
def test_modes(document, expected):
    assert mode(document) is expected


@pytest.mark.parametrize(
    "preference",
    [
        {"mode": "best"},
        {"mode": 1},
        {**SECONDARY, "tags": ({"a": "b"},)},
        {**SECONDARY, "maxStalenessSeconds": 90},
    ],
)
def test_what_cannot_be_kept_is_said(preference):
    with pytest.raises(NotUnderstood):
        mode({"find": "x", "$readPreference": preference})
