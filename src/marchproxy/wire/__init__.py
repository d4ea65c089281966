"""Wire: protocols as bytes in, values out. Pure: no sockets, no clock, the standard library only."""
