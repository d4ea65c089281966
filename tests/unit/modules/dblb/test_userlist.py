"""Files of users and their secrets."""

import pytest

from marchproxy.modules.dblb.userlist import UserlistFault, read_userlist


def test_users_and_their_secrets():
    text = b'; people\n"anna" "secret"\n\n"b""ob"  "md5x"\n# none\n'
    assert read_userlist(text) == {"anna": "secret", 'b"ob': "md5x"}


@pytest.mark.parametrize("line", ["anna secret", '"anna"', '"anna" secret', '"anna "secret"', '"a" "c"'])
def test_faults_name_their_line(line):
    with pytest.raises(UserlistFault, match="line 2"):
        read_userlist(f'"a" "b"\n{line}\n'.encode())
