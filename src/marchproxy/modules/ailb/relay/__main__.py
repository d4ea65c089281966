"""`python -m marchproxy.modules.ailb.relay`: see `process`."""

from marchproxy.modules.ailb.relay.process import main

if __name__ == "__main__":
    main()
