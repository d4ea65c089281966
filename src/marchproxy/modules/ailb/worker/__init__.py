"""The process that decides: the sockets where Envoy asks and reports, and what is behind them."""
