"""The RTMP module's own process as its workers know it: starts, tells and asks them."""
