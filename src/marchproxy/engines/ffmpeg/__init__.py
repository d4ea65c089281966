"""ffmpeg, which encodes what encoders do not send: the lower rungs of a ladder. All else of video we do ourselves.

`binary` finds it, `encoders` knows how each encoder is told, `probe` which of them works here, `command` is one ladder's command
line, `transcoder` one that runs.
"""
