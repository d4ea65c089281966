"""What modules that let clients in by themselves share: ports, PROXY headers, TLS, certificates. It knows none of the modules."""
