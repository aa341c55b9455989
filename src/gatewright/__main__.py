"""`python -m gatewright` is the command `gatewright`."""

from gatewright.cli import main

if __name__ == "__main__":
    main()
