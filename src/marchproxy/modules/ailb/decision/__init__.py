"""What becomes of a request for a language model, decided once, before Envoy sends it anywhere. No I/O; times are arguments."""
