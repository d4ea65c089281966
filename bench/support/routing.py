"""The routing table of the HTTP benchmark: the same routes for every proxy, and requests that meet each of them alike."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROUTES_PER_HOST = 10
_MOST_SERVICES = 50
_SEED = 4
_SCRIPT = """local requests, last = {{}}, 0
for line in io.lines("{file}") do
  local host, path = line:match("(%S+) (%S+)")
  requests[#requests + 1] = {{ host, path }}
end
function init()
  for number, request in ipairs(requests) do
    requests[number] = wrk.format("GET", request[2], {{ Host = request[1] }})
  end
end
function request()
  last = last % #requests + 1
  return requests[last]
end
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A route: this host ("*": any) and this prefix of whole path segments go to this service."""

    host: str
    prefix: str
    service: int

    @property
    def pool(self) -> str:
        """The name of the service in every proxy's configuration."""
        return f"service-{self.service}"

    @property
    def asked_host(self) -> str:
        """The Host of a request that this route takes."""
        return "localhost" if self.host == "*" else self.host

    @property
    def asked_path(self) -> str:
        """The path of a request that this route takes."""
        return f"{self.prefix.rstrip('/')}/items"


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Ten routes to a host, all to at most 50 services, as teams share them; one route alone takes everything."""

    lines: tuple[Line, ...]

    @classmethod
    def of(cls, routes: int) -> "RoutingTable":
        """The table of this size."""
        if routes == 1:
            return cls((Line("*", "/", 0),))
        places = (divmod(number, _ROUTES_PER_HOST) for number in range(routes))
        return cls(
            tuple(
                Line(f"team-{host}.example", f"/service-{path}", number % _MOST_SERVICES)
                for number, (host, path) in enumerate(places)
            )
        )

    @property
    def pools(self) -> list[str]:
        """The services, each once."""
        return sorted({line.pool for line in self.lines})

    def by_host(self) -> dict[str, list[Line]]:
        """The lines of each host, in order."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.host, []).append(line)
        return found

    def document(self, upstream: int, *, timeout: str = "15s") -> dict[str, Any]:
        """The table as MarchProxy's routes and pools; every pool is the backend at this port."""
        return {
            "routes": [_route(number, line, timeout) for number, line in enumerate(self.lines)],
            "pools": [
                {"name": pool, "version": "v1", "endpoints": [f"127.0.0.1:{upstream}"]} for pool in self.pools
            ],
        }

    def a_request(self) -> tuple[str, str]:
        """Host and path that the last route takes."""
        return self.lines[-1].asked_host, self.lines[-1].asked_path

    def script(self, directory: Path) -> Path:
        """A script for wrk that asks for every route as often as for any other, in an order without locality."""
        asked = [f"{line.asked_host} {line.asked_path}" for line in self.lines]
        random.Random(_SEED).shuffle(asked)
        file = directory / f"requests-{len(asked)}.txt"
        file.write_text("\n".join(asked) + "\n")
        script = file.with_suffix(".lua")
        script.write_text(_SCRIPT.format(file=file))
        return script


def _route(number: int, line: Line, timeout: str) -> dict[str, Any]:
    hosts = {} if line.host == "*" else {"hosts": [line.host]}
    return {
        "id": f"route-{number}",
        **hosts,
        "path": line.prefix,
        "timeout": timeout,
        "backends": [line.pool],
    }
