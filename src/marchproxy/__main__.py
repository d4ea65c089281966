"""`python -m marchproxy`: the same as the console script."""

from marchproxy.cli.entry import main

if __name__ == "__main__":
    main()
