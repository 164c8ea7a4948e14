"""``python -m ocipkg_async``."""

from .cli.main import main

if __name__ == "__main__":
    main()
