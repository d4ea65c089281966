"""The NLB: the L4 router in front of the modules. Registry, routing table, forwarding plan and its data planes.

`server.serve` runs one; `core` owns its state; `state` and `rules` are pure; `api` answers NLBService.
"""
