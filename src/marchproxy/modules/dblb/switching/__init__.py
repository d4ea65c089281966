"""How the writes of routes move from one pool to another: paused, waited for, and begun anew where all of them are."""
