"""Attempts: what becomes of a request at each pool that it is tried at, in filters of the pool's own cluster.

What an attempt does to headers is there in the next one too, at another pool perhaps; what it does to the body is not. So
every pool sets or takes off each of them, and no pool is shown the credential of another. What only a script can do, it does
where the decider tells a path: of most requests, path and body stay as they are.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/lua_filter
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from xds.type.matcher.v3 import matcher_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.engines.envoy.secrets import over_sds
from marchproxy.model.ai import AiPool, Dialect
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.credential import header_of, secret_name
from marchproxy.modules.ailb.resources.deciding import TOLD
from marchproxy.modules.ailb.resources.told import Predicate, is_told
from marchproxy.modules.ailb.resources.typed import on
from marchproxy.modules.http.resources.clusters import resolved_by_envoy
from marchproxy.modules.http.resources.events import skip

_ANTHROPIC_VERSION = "2023-06-01"
_EDITS = "marchproxy.ai.edits"
_CREDENTIALS = ("authorization", "x-api-key")
# `accept-encoding`: nobody here reads what is compressed. What says where a client is concerns no provider.
_NOT_FOR_PROVIDERS = (
    *_CREDENTIALS,
    "accept-encoding",
    "x-forwarded-for",
    "x-envoy-external-address",
    asking.ATTEMPT,
)
# waiting for the body ends the life of `headers`
_SCRIPT = """\
function envoy_on_request(handle)
  local headers = handle:headers()
%(more)s
  local told = handle:streamInfo():dynamicMetadata():get("%(told)s")
  if told == nil or told["%(path)s"] == nil then return end
  headers:replace(":path", "%(base)s" .. told["%(path)s"])
  local body = handle:body()
  if body == nil then return end
  local length = body:length()
  local first, last = string.match(told["%(at)s"] or "", "^(%%d+),(%%d+)$")
  local names = "&" .. (told["%(names)s"] or "") .. "&"
  local _, before = string.find(names, "&%(pool)s=", 1, true)
  if first ~= nil and before ~= nil then
    local name = string.sub(names, before + 1, string.find(names, "&", before + 1, true) - 1)
    name = string.gsub(name, "%%%%(%%x%%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    first, last = tonumber(first), tonumber(last)
    length = body:setBytes(body:getBytes(0, first) .. name .. body:getBytes(last, length - last))
  end
  handle:headers():replace("content-length", tostring(length))
end
"""


def pool_filters(pool: BackendPool, ai: AiPool) -> Iterator[Any]:
    """Of each attempt at the pool itself: its path, its name of the model, its credential."""
    yield on("envoy.filters.http.header_mutation", _not_for_providers(ai))
    # of a plain endpoint, Envoy knows the authority
    edits = _script(pool, ai)
    yield on("envoy.filters.http.lua", edits) if pool.tls is not None else on(_EDITS, _where_told(edits))
    if ai.credential:
        header = header_of(ai.provider)
        credential = generic_pb2.Generic(credential=over_sds(secret_name(ai)), header=header)
        config = credential_injector_pb2.CredentialInjector(overwrite=True)
        config.credential.name = "envoy.http.injected_credentials.generic"
        config.credential.typed_config.CopyFrom(pack(credential))
        yield on("envoy.filters.http.credential_injector", config)


def relay_filters(pool: BackendPool) -> Iterator[Any]:
    """Of each attempt at the pool through a relay: what the relay is to know."""
    told = {name: f"%DYNAMIC_METADATA({TOLD}:{name})%" for name in (*asking.METADATA, asking.WHO)}
    headers = {
        asking.POOL: str(pool.name).replace("%", "%%"),
        asking.ATTEMPT: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        **told,
    }
    yield on("envoy.filters.http.header_mutation", _mutation(headers, _CREDENTIALS))


def own_filters() -> Iterator[Any]:
    """Of requests that the decider answers by itself: the path at which it does."""
    path = asking.PATH
    yield on("envoy.filters.http.lua", _lua(_OWN % {"told": TOLD, "path": path}))


_OWN = """\
function envoy_on_request(handle)
  local told = handle:streamInfo():dynamicMetadata():get("%(told)s")
  if told ~= nil then handle:headers():replace(":path", told["%(path)s"] or "/") end
end
"""


def _script(pool: BackendPool, ai: AiPool) -> Any:
    authority = _authority(pool)
    source = _SCRIPT % {
        "more": f'  headers:replace(":authority", {_text(authority)})' if authority else "",
        "told": TOLD,
        "base": _text(ai.base)[1:-1],
        "path": asking.PATH,
        "at": asking.AT,
        "names": asking.NAMES,
        "pool": quote(pool.name, ""),
    }
    return _lua(source)


def _where_told(edits: Any) -> Any:
    """The script, left out where the decider told no path."""
    told = is_told(asking.PATH, what="path", match="told")
    others = matcher_pb2.Matcher.MatcherList.FieldMatcher(
        predicate=Predicate(not_matcher=told), on_match=skip()
    )
    return extension_matcher_pb2.ExtensionWithMatcher(
        extension_config=extension_pb2.TypedExtensionConfig(name="edits", typed_config=pack(edits)),
        xds_matcher=matcher_pb2.Matcher(matcher_list=matcher_pb2.Matcher.MatcherList(matchers=[others])),
    )


def _authority(pool: BackendPool) -> str:
    """Whose server it is; empty: Envoy knows."""
    if pool.tls is None:
        return ""
    if pool.tls.server_name:
        return pool.tls.server_name
    if resolved_by_envoy(pool) or not pool.endpoints:
        return ""
    return pool.endpoints[0].address


def _text(value: str) -> str:
    """A string of Lua's; what the checks let through is plain."""
    return json.dumps(value)


def _lua(source: str) -> Any:
    return lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=source))


def _not_for_providers(ai: AiPool) -> Any:
    config = _mutation({}, _NOT_FOR_PROVIDERS)
    mutations = config.mutations.request_mutations
    mutations.add().remove_on_match.key_matcher.prefix = asking.OURS
    if ai.provider.dialect is Dialect.ANTHROPIC:
        version = base_pb2.HeaderValue(key="anthropic-version", value=_ANTHROPIC_VERSION)
        absent = base_pb2.HeaderValueOption(
            header=version, append_action=base_pb2.HeaderValueOption.ADD_IF_ABSENT
        )
        mutations.add().append.CopyFrom(absent)
    return config


def _mutation(headers: dict[str, str], removed: tuple[str, ...]) -> Any:
    mutations = [mutation_rules_pb2.HeaderMutation(remove=name) for name in removed]
    for name, value in headers.items():
        option = base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=name, value=value),
            append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        mutations.append(mutation_rules_pb2.HeaderMutation(append=option))
    return header_mutation_pb2.HeaderMutation(
        mutations=header_mutation_pb2.Mutations(request_mutations=mutations)
    )
