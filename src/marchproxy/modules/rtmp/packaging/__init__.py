"""Packaging: live streams as segments and playlists in files, for HLS and DASH alike.

Pure: a `segmenter` cuts frames at keyframes (`running` is one era, `row` one track), a `shelf` knows what can be watched.
"""
