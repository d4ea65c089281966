"""`python -m marchproxy.modules.dblb.worker`: see `process`."""

from marchproxy.modules.dblb.worker.process import main

if __name__ == "__main__":
    main()
