"""What pools of language models say of themselves."""

import pytest

from marchproxy.model.ai import AiPool


@pytest.mark.parametrize(
    ("base_path", "base"), [("", "/v1"), ("/", ""), ("/openai/v1", "/openai/v1"), ("/x/", "/x")]
)
def test_what_stands_before_the_paths_of_operations(base_path, base):
    assert AiPool(base_path=base_path).base == base
