"""What is said once everything runs."""

from pathlib import Path

import pytest

from marchproxy.cli.file.load import load_file
from marchproxy.cli.up.overview import invitations

EXAMPLES = Path(__file__).parents[4] / "examples"


@pytest.mark.parametrize(
    ("example", "first"),
    [
        ("first-light.yaml", "curl http://127.0.0.1:8000/"),
        ("databases.yaml", "psql -h 127.0.0.1 -p 5433"),
        ("streaming.yaml", 'ffmpeg -re -i FILE -c copy -f flv "rtmp://127.0.0.1:1935/live/test?key=KEY"'),
        ("llm.yaml", "curl http://127.0.0.1:4000/v1/models -H 'authorization: Bearer KEY'"),
    ],
)
def test_the_first_thing_to_type(example: str, first: str) -> None:
    assert next(iter(invitations(load_file(EXAMPLES / example, {}).document))) == first


def test_where_nothing_is_at_the_root_nobody_is_sent_there() -> None:
    *_, last = invitations(load_file(EXAMPLES / "llm.yaml", {}).document)
    assert last == "marchproxy explain http://127.0.0.1:4000/v1/chat/completions -X POST"
