"""An ALB whose Envoy takes routes and pools from a central xDS server: it opens its listeners, watches and reports."""
