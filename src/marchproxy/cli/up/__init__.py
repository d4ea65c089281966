"""`marchproxy up`: every process of a file on this machine, supervised.

`parts` says which processes there are, `keeper` keeps one alive, `supervisor` brings all of them up and down,
`reload` puts a changed file in force everywhere or nowhere.
"""
