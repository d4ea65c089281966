"""A running system over the contract: who takes part in it, and how a document comes into force everywhere or nowhere."""
