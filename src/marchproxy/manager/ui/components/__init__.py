"""What pages are made of: each one thing that is seen on several of them."""
