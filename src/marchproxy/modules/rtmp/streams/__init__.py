"""Live streams that are here: a publisher's messages, as its players, packagers and pushers get them."""
