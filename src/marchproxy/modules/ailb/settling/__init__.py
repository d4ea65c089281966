"""The ends of requests: who reports them, and what they cost then. Each reservation is settled once."""
