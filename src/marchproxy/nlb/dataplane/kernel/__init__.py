"""The kernel as a data plane: `plane` keeps nftables' rules, which `frontends` makes of a plan; `probe` and `pulse` find dead ends."""

from marchproxy.nlb.dataplane.kernel.plane import KernelDataPlane

__all__ = ["KernelDataPlane"]
