"""The relays: processes between Envoy and engines, through which go streams that must be looked at and what must be translated.

`heard` is what Envoy tells of a request, `plan` which ways there are, `outgoing` what an engine is asked, `shapes` what becomes of
its answer, `counting` what is counted on the way: all pure. `exchange` is one request; `front` and `link` are its two connections.
"""
