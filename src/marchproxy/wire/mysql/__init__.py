"""The wire protocol of MySQL and MariaDB, version 10, as bytes in and values out.

`packets` cuts and writes packets, `handshake` reads and writes what opens a session, `endings` reads OK, ERR and EOF,
`requests` finds the commands in what a client sends, `flow` knows what a server still owes, `proofs` what proves a
password. No row is parsed.
https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html, https://mariadb.com/kb/en/clientserver-protocol/
"""
