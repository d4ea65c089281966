"""The relay as a data plane: `plane` tells its workers (`worker`) what to carry: each its `share`, with addresses (`places`)."""

from marchproxy.nlb.dataplane.detect.plane import DetectDataPlane

__all__ = ["DetectDataPlane"]
