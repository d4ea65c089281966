"""PostgreSQL: sessions of clients on connections to servers that they share."""
