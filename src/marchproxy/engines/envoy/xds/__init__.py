"""The xDS control plane: immutable snapshots, checked, then streamed over ADS."""
