"""`marchproxy demo`: the whole system at work, measured from outside; every claim is checked while it is shown.

`world` brings real processes up and down, `load` sends real requests, `chapters` are the claims, `story` prints them.
"""
