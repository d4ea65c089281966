"""The domain: frozen values and pure decisions. No I/O, no clock, no protobuf.

Values: `module`, `route`, `pool`, `limit`, `listener`, `state`. Decisions: `checks` (is a state sound?), `matching`
(which route takes a request?), `weights` (how does a shift change the shares?), `balance` (which instance?), `plan`
(what does the NLB forward where?), `rollout` (what next for a canary?), `query` (which rows were asked for?).
"""
