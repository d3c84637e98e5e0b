"""Entry point of `python -m node.hands`."""

from node.hands.main import main

if __name__ == "__main__":
    main()
