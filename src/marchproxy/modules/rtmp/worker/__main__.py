"""`python -m marchproxy.modules.rtmp.worker`: see `process`."""

from marchproxy.modules.rtmp.worker.process import main

if __name__ == "__main__":
    main()
