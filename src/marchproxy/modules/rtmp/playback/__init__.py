"""Playback: the process that serves HLS and DASH, from the files that workers write.

Pure: `asked` reads a URL, `reply` decides status and headers, `carrying` takes a token from list to list, `audience` counts.
`theatre` is the service, in a worker's house of its own; `doorman` its connections, `store` its files, `watching` asks the
worker that has a stream to package it.
"""
