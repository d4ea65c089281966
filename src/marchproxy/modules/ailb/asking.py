"""Asking: the headers in which an Envoy of ours asks what becomes of a request, and is told. Pure.

Envoy sends the request itself (ext_authz): method, path, body, and what `TOLD` lists. It must have made `x-request-id` itself:
tries of one request share it, and one reservation. Every header of ours that a client sends is taken off before.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote, unquote

from google.protobuf import json_format, struct_pb2

from marchproxy.modules.ailb.dialects.body import dump
from marchproxy.wire import http1

#: Starts the name of every header of ours.
OURS = "x-ai-"
#: Envoy says by it which route took the request.
ROUTE = "x-ai-route"
REQUEST_ID = "x-request-id"
#: What the headers hold that the route names for affinity and for priority; none where the client sends none.
AFFINITY = "x-ai-affinity"
PRIORITY = "x-ai-priority"
#: What a client may have that not all do, and that answers go by.
BETAS = ("anthropic-beta", "openai-beta")
#: What Envoy passes on of a request's headers.
TOLD = (
    "authorization",
    "x-api-key",
    "anthropic-version",
    *BETAS,
    "content-type",
    "content-encoding",
    "cache-control",
    "x-forwarded-for",
    REQUEST_ID,
    ROUTE,
    AFFINITY,
    PRIORITY,
)

#: Where attempts go: base64 of a protobuf Value, [{name, clusters: [{cluster_name, weight}]}, …], one for each attempt.
POOLS = "x-ai-pools"
#: `ip:port,…`: the order of endpoints; each cluster heeds those that it has.
HOST = "x-ai-host"
#: The operation's path behind `/v1` (or a pool's base path), with the query. Not told, as AT: all pools are sent the client's
#: path and body as they are, and directly.
PATH = "x-ai-path"
#: `start,end`: where the model's value (quotes included) stands in the body, in bytes. Empty: nowhere.
AT = "x-ai-at"
#: What the model is called in each pool that may be asked: `pool=value&…`, the value as JSON has it (with quotes), all of
#: it percent-encoded but letters, digits and `_.-~`. A pool that calls it what the client does is not in it.
NAMES = "x-ai-names"
#: The reservation. A report of the end names it.
ID = "x-ai-id"
#: What was asked for: an operation by its name, the route's name of the model, and whether the answer is a stream (1 or 0).
OPERATION = "x-ai-operation"
MODEL = "x-ai-model"
STREAM = "x-ai-stream"
#: What a relay does beside passing on, as words with commas between them: see below.
TASKS = "x-ai-tasks"
#: Words of TASKS: the body is not the client's, ask the decider for it; hand the answer to the decider, to be kept.
TASK_BODY = "body"
TASK_KEEP = "keep"
#: What a relay is told beside METADATA: which pool is meant, and which attempt it is, from 1. It names the cluster at the egress.
POOL, ATTEMPT, CLUSTER = "x-ai-pool", "x-envoy-attempt-count", "x-ai-cluster"
#: Envoy takes a refusal of 5xx for a failure of who is asked, and drops its words; one of 400 it takes for a broken message, and
#: hangs up on the client. So each of these is said by a status that nobody else uses, and Envoy tells the client the true one.
VEILED = {400: 470, 500: 480, 502: 482, 503: 483, 504: 484, 529: 489}
#: Of a client's credential, so that no provider sees it.
REMOVED = "x-envoy-auth-headers-to-remove"
RETRIES = "x-envoy-max-retries"
_ALLOWED = (
    f"HTTP/1.1 200 OK\r\n{REMOVED}: authorization,x-api-key\r\ncontent-length: 0\r\n"
    f"{POOLS}: %b\r\n{RETRIES}: %d\r\n%b\r\n\r\n"
).encode()

#: For whom the reservation is, so that a decider that does not know it any more can make it anew: route, key, user, team,
#: tokens of input and output that were expected, percent-encoded and with `&` between them. For reports only.
WHO = "x-ai-who"

#: What becomes dynamic metadata of a request (namespace AUTHZ), beside WHO.
METADATA = (HOST, PATH, AT, NAMES, ID, OPERATION, MODEL, STREAM, TASKS)
#: What goes on as headers, to the filters behind.
FORWARDED = (POOLS, RETRIES)

#: What goes to the client of a refusal's headers.
DENIED = ("content-type", "retry-after")

#: The cluster in which the decider answers by itself: lists of models, and what it has kept.
OWN_CLUSTER = "marchproxy.own"
#: Where it does: `/kept/NAME`, which is in PATH (the cluster is asked for nothing else).
OWN_KEPT = "/kept"
#: What relays ask there, by the id of the reservation: GET the body of TASK_BODY; PUT the answer of TASK_KEEP, whole, with its type.
OWN_BODY = "/body"
OWN_ANSWER = "/answer"

#: Envoy's access log says in these what an answer used, in the words of its provider, as dynamic metadata of this namespace:
#: of a whole answer its member `usage` as it was written; of a stream members of those in its events, with those of
#: `prompt_tokens_details` and `input_tokens_details` beside the others.
USAGE = "ailb.usage"
USAGE_TEXT = "usage"
USAGE_MEMBERS = (
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
#: Custom tags of its entries: microseconds from the request's first byte until the first byte of the answer's body reached
#: Envoy (`-`: none did).
FIRST_BYTE = "first_byte"
#: The namespace of METADATA.
AUTHZ = "envoy.filters.http.ext_authz"
#: What stands in the lines in which Envoy writes down the ends of requests, with tabs between and `-` for what is missing: `at` in
#: seconds since the epoch, `told` what AUTHZ has, and `used` what USAGE has, as JSON.
WRITTEN = (
    "at", "cluster", "host", "status", "details", "flags", "attempts", "sent", "milliseconds", FIRST_BYTE, REQUEST_ID, "refused",
    "told", "used",
)  # fmt: skip
#: What a relay tells behind an answer whose request is traced: tokens of input and of output, and what broke it off.
TRACED = ("x-marchproxy-input-tokens", "x-marchproxy-output-tokens", "x-marchproxy-error")
#: With these a provider refuses our credential. The client, whose own is good, is told 502, and in a header which it was.
REFUSED = (401, 403)
PROVIDER_STATUS = "x-marchproxy-provider-status"
#: Tells a client whether an answer comes from the cache: `hit`, or `miss` when it is kept now.
CACHE = "x-marchproxy-cache"
#: In front of the names of clusters.
POOL_PREFIX, RELAY_PREFIX = "pool.", "relay."
#: Sockets in the folder of an instance.
DECIDE_SOCKET, OWN_SOCKET, REPORTS_SOCKET, ENDED_SOCKET = (
    "decide.sock",
    "own.sock",
    "reports.sock",
    "ended.sock",
)


def pool_cluster(pool: str) -> str:
    """The cluster that reaches a pool directly, as `modules.http.resources.clusters` names it."""
    return POOL_PREFIX + pool


def relay_cluster(pool: str) -> str:
    """The cluster that reaches a pool through the relays."""
    return RELAY_PREFIX + pool


@dataclass(slots=True, eq=False)  # one is made for every request
class Allowed:
    """A request passes: attempt n goes to the n-th of `clusters`. `told`: values of METADATA by name."""

    clusters: tuple[str, ...]
    told: tuple[tuple[str, str], ...]

    def encode(self) -> bytes:
        """The answer to Envoy."""
        told = "\r\n".join([f"{name}: {value}" for name, value in self.told]).encode("latin-1")
        return _ALLOWED % (encode_pools(self.clusters), len(self.clusters) - 1, told)


@dataclass(frozen=True, slots=True)
class Denied:
    """The client is told this, and nobody else. `retry_after`: seconds."""

    status: int
    body: bytes
    retry_after: int | None = None

    def encode(self) -> bytes:
        """The answer to Envoy, which passes it on."""
        fields = [(b"content-type", b"application/json")]
        if self.retry_after is not None:
            fields.append((b"retry-after", b"%d" % self.retry_after))
        return http1.answer(VEILED.get(self.status, self.status), fields, self.body)


Verdict: TypeAlias = Allowed | Denied


@lru_cache(maxsize=4096)
def encode_pools(clusters: tuple[str, ...]) -> bytes:
    """The value of POOLS: attempt n goes to the n-th cluster."""
    groups = [
        {"name": f"attempt {number}", "clusters": [{"cluster_name": cluster, "weight": 1}]}
        for number, cluster in enumerate(clusters, 1)
    ]
    value = json_format.Parse(dump(groups), struct_pb2.Value())
    return b64encode(value.SerializeToString(deterministic=True))


@lru_cache(maxsize=4096)
def encode_names(names: tuple[tuple[str, str], ...]) -> str:
    """The value of NAMES: pools, and what the model is called there."""
    return "&".join(f"{quote(pool, '')}={quote(dump(name), '')}" for pool, name in names)


def decode_names(value: str) -> Mapping[str, str]:
    """What NAMES says: the JSON of the model's name by pool."""
    pairs = (pair.partition("=") for pair in value.split("&") if pair)
    return {unquote(pool): unquote(name) for pool, _, name in pairs}
