"""`python -m marchproxy.modules.ailb.worker`: see `process`."""

from marchproxy.modules.ailb.worker.process import main

if __name__ == "__main__":
    main()
