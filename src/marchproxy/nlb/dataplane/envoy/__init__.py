"""Envoy as a data plane: `plane` runs it, fed with `resources`; `counts`, `limits`, `files` and `shedding` are its parts."""

from marchproxy.nlb.dataplane.envoy.plane import EnvoyDataPlane

__all__ = ["EnvoyDataPlane"]
