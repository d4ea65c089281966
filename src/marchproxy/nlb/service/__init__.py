"""The running NLB: the one owner of its state (`core`), and the loops around it: apply, ask, remember, measure."""
