"""The domain: frozen values and pure decisions. No I/O, no clock, no protobuf."""
