"""Envoy's statistics as Prometheus metrics of our own: named and labelled by a table, counted on, and bounded."""

from marchproxy.engines.envoy.metrics.family import Family, Kind
from marchproxy.engines.envoy.metrics.meter import EnvoyMeter
from marchproxy.engines.envoy.metrics.source import Cell, Source, wanted
from marchproxy.engines.envoy.metrics.tally import MOST, OTHER, Tally

__all__ = ["MOST", "OTHER", "Cell", "EnvoyMeter", "Family", "Kind", "Source", "Tally", "wanted"]
