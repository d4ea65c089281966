"""CMAF (ISO/IEC 23000-19): media as browsers take it, one track in a file, for HLS and DASH alike. Pure.

`head` writes the init segment of a track, `fragment` a segment of its samples. Times are milliseconds, as RTMP's are, so
that nothing is rounded on the way.
"""

from marchproxy.wire.cmaf.fragment import Sample, segment
from marchproxy.wire.cmaf.head import TIMESCALE, TRACK, init_segment

__all__ = ["TIMESCALE", "TRACK", "Sample", "init_segment", "segment"]
