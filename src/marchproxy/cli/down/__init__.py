"""`marchproxy down`: ends what runs of a file on this machine, and what a killed `marchproxy up` left behind.

`places` says which folders are the file's, `remains` which processes are, `ending` ends them, `command` puts it together.
Only pids with their start times are signalled: a pid that is another process's by now is left alone.
"""
