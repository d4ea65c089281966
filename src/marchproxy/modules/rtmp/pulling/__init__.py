"""Pulling: streams that live at origins, played by ourselves, so that they can be packaged.

`dialogue` is what a player says (pure), `pulled` a stream that is played for as long as somebody wants it.
"""
