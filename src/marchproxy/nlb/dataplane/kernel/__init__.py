"""The kernel as a data plane: `plane` keeps nftables' rules, which `frontends` makes of a plan; `pulse` leaves out who is silent."""

from marchproxy.nlb.dataplane.kernel.plane import KernelDataPlane

__all__ = ["KernelDataPlane"]
