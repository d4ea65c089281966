"""Redis' wire protocol, RESP2 and RESP3, as bytes in and values out.

`requests` cuts what a client sends into commands, `replies` finds where each answer of a server ends without reading it,
`values` reads and writes the few values that a proxy needs itself, `commands` is what a proxy must know of each command.
https://redis.io/docs/latest/develop/reference/protocol-spec/
"""
