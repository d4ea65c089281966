"""Signatures: tokens that somebody has signed for an action on a stream, and that end by themselves. Pure."""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.policy.claim import Refusal
from marchproxy.modules.rtmp.policy.signing import sign

_SECONDS = re.compile(r"[0-9]{1,11}")
_HEX = re.compile(r"[0-9a-fA-F]{64}")


def check_signature(
    secret: bytes, action: str, key: StreamKey, shown: Mapping[str, str], *, now: float
) -> Refusal | None:
    """Why a token is none for this, or None; `now` in Unix seconds."""
    expires, signature = shown.get("expires", ""), shown.get("signature", "")
    if not expires and not signature:
        return Refusal("denied", "no signature was shown", shown=False)
    if not _SECONDS.fullmatch(expires) or not _HEX.fullmatch(signature):
        return Refusal("denied", "a token is expires=SECONDS&signature=HEX")
    of_app = StreamKey(key.vhost, key.app, "*")
    # both, always: time does not tell which one it was for
    good = [
        hmac.compare_digest(sign(secret, action, one.text, expires), signature.lower())
        for one in (key, of_app)
    ]
    if not any(good):
        return Refusal("denied", "the signature is not right for this action, stream and time")
    if int(expires) <= now:
        return Refusal("expired", f"the token ended at {datetime.fromtimestamp(int(expires), UTC):%F %T} UTC")
    return None
