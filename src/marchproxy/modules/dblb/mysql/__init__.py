"""MySQL and MariaDB: clients that log in here, each with a session on a server from its first command on."""
