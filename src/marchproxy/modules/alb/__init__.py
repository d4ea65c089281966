"""The HTTP load balancer: an Envoy programmed over xDS."""
