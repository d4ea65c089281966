"""A worker process of the RTMP module."""
