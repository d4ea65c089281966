"""`marchproxy xds`: a control plane by itself, for Envoys and gRPC clients of somebody else's making.

It compiles with the ALB's compiler and starts no module: a document goes in, snapshots come out, nodes fetch theirs.
"""
