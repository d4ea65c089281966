"""`marchproxy top`: the running system on one screen. All but `screen` and `keyboard` is pure."""
