"""`python -m fermi_unek` is `fermi-unek`."""

from .cli import main

if __name__ == "__main__":
    main()
