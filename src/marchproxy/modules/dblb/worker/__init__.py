"""The worker process of a DBLB: holds the ports, and the services behind them."""
