"""Worker processes of our own: started in sessions of their own, found again after a crash, asked over a Unix socket.

`process` is for supervisors; what workers need, `line` and `desk`, imports little.
"""
