"""PostgreSQL's wire protocol, 3.0 and 3.2, as bytes in and values out.

`startup` reads what opens a connection, `framing` cuts a stream into messages without copying rows, `frontend` and
`backend` read the few messages that a proxy must understand, `encode` writes those it sends, `flow` knows what a server
still owes and when it is free for somebody else.
https://www.postgresql.org/docs/current/protocol.html
"""
