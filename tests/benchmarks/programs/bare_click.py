"""A click application that does nothing."""

import click


@click.group()
@click.version_option("1.0")
def main() -> None:
    """Do nothing."""


@main.command()
@click.option("--name", help="A name.")
def nothing(name: str) -> None:
    """Do nothing at all."""


if __name__ == "__main__":
    main()
