"""The L4 router: NLBService, registry, routing table, forwarding plan, data planes."""
