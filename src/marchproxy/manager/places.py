"""Places: what others on the manager's machine must know to find it, without the code of a manager."""

LOCAL_KEY = "local.key"
"""The file in the state folder whose content opens everything, as a bearer token."""

INITIAL_PASSWORD = "initial-password"  # noqa: S105 - a file's name
"""The file in the state folder with the first admin's password, until that is changed."""

FIRST_USER = "admin"

FILE_PATH = "/api/v1/file"
"""Where a manager is handed what its file says now."""
