"""python -m spi_dash"""

from .cli import main

if __name__ == "__main__":
    main(prog_name="spi-dash")
