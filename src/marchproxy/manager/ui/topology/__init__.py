"""The picture of listeners, the modules behind them and the pools behind those, with what flows where. Pure."""

from marchproxy.manager.ui.topology.drawing import drawing
from marchproxy.manager.ui.topology.picture import picture

__all__ = ["drawing", "picture"]
