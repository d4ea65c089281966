"""The wire contract: generated protobuf, and protobuf to model and back."""
