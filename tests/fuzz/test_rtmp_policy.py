"""Whatever a file of keys holds, and whatever a client shows: an error with a line or a no, and never a yes by chance."""

from hypothesis import example, given
from hypothesis import strategies as st

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy.checking import prove
from marchproxy.modules.rtmp.policy.claim import Claim
from marchproxy.modules.rtmp.policy.signing import sign
from marchproxy.modules.rtmp.policy.stream_keys import StreamKeys, read_stream_keys
from marchproxy.modules.rtmp.session.roles import Action

SECRET = b"a secret that nobody guesses"
KEYS = read_stream_keys(b"live/*:a key that nobody guesses")
NOW = 1_800_000_000
TEXTS = st.text(alphabet=st.characters(codec=None), max_size=80)
PIECES = st.lists(
    st.sampled_from(["key=", "expires=", "signature=", "&", "%", "=", str(NOW + 9), "0" * 64, "a key", "\n", "*"]) | TEXTS,
    max_size=12,
).map("".join)  # fmt: skip


@given(st.binary(max_size=300) | st.text(alphabet="live/*:# \n[]?\x85\u2028", max_size=80).map(str.encode))
@example(b"live/[z-a]:key")
@example(b"live/a:key\rlive/b:other")
def test_files_of_keys(content: bytes) -> None:
    keys, fault = StreamKeys(), "line "
    try:
        keys = read_stream_keys(content)
    except ValueError as error:
        fault = str(error)
    assert fault == "is not UTF-8" or fault.startswith("line ")
    for shown in ("", "key", "\x00"):
        keys.open(StreamKey("", "live", "a"), shown)


@given(PIECES, TEXTS, TEXTS, TEXTS)
def test_nobody_is_let_in_by_chance(query: str, vhost: str, app: str, name: str) -> None:
    claim = Claim(Action.PUBLISH, StreamKey(vhost, app, name), query)
    for kind in AuthenticationKind:
        refusal = prove(Way(Authentication("a", kind), SECRET, KEYS), claim, now=NOW)
        assert refusal is not None
        assert refusal.reason in {"denied", "expired"}


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(Action), st.integers(0, 2 * NOW))
def test_what_was_signed_is_good_until_it_ends(
    vhost: str, app: str, name: str, action: Action, until: int
) -> None:
    key = StreamKey(vhost, app, name)
    query = f"expires={until}&signature={sign(SECRET, action.value, key.text, until)}"
    way = Way(Authentication("a", AuthenticationKind.SIGNED), SECRET)
    assert (prove(way, Claim(action, key, query), now=NOW) is None) is (until > NOW)
    other = Action.PLAY if action is Action.PUBLISH else Action.PUBLISH
    assert prove(way, Claim(other, key, query), now=NOW) is not None
