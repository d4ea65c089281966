"""Pushing: copies of streams go to other servers, each by a connection of its own that harms nobody when it fails."""
