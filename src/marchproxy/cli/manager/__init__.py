"""`marchproxy manager`: the manager as a process, and what it needs of the modules' code."""
