"""HTTP/2 as a server of ours speaks it with an Envoy (RFC 9113): bytes in, whole requests out; answers to bytes.

`server` is the connection, `outflow` what goes out within the windows of the peer, `heads` HPACK (RFC 7541), `frames` the
words of it all. No upgrade from HTTP/1.1, no push, no priorities: prior knowledge, and a peer that needs none of these.
"""
