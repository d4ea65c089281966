"""Certificates that are shown to clients: what they say, made for first steps, and files of them that are watched."""
