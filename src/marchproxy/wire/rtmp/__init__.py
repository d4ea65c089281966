"""RTMP as bytes in, values out: handshakes, chunk streams, AMF0, commands, and what the first bytes of media say.

`headers` is the chunk layer's memory; `chunks` makes whole messages of it, `skimmer` steps over them; `control` and `commands`
are what peers tell each other; `media` looks into audio and video. Sources: Adobe's "Real Time Messaging Protocol" 1.0,
"Action Message Format -- AMF 0", "Enhanced RTMP" v2 (https://veovera.org/docs/enhanced/enhanced-rtmp-v2), and where peers
differ from them, the peers.
"""
