"""Existing engines that MarchProxy drives."""
