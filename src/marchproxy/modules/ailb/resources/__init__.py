"""Resources: what an AILB adds to the shared HTTP gateway's Envoy. No I/O but for files of credentials."""
