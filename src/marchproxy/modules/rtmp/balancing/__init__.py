"""Balancing: streams that live at origins: which origin, how clients get there, and where they go on when it is lost."""
