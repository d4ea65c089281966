"""The manager: REST API, web UI, revisions, users."""
