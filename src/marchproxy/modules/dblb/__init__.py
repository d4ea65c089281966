"""DBLB: databases at protocol level, behind one port for each protocol."""
