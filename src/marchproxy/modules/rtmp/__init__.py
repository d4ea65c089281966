"""RTMP: live streaming: streams are taken in, sent to origins or to players, packaged, and watched."""
