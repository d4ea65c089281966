"""Downstream: what settings may say of the connections of clients. Imports nothing of Envoy's, as an NLB reads it too."""

from enum import Enum


class Underscores(Enum):
    """What becomes of a request's headers with a `_` in their name, which some backends take for a `-`."""

    REJECT = "reject"
    DROP = "drop"
    ALLOW = "allow"


class TlsVersion(Enum):
    """The oldest version that is spoken; what is older is deprecated (RFC 8996)."""

    V1_2 = "1.2"
    V1_3 = "1.3"
