"""What the NLB knows: registered instances, the routing table, CanHandle verdicts. Values and pure steps only."""
