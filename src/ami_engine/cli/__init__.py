"""The command line, ``mdm``: exit code 0 = ok, 1 = the run failed, 2 = bad input."""


def main() -> None:
    """Run the command line."""
    from ami_engine.cli.app import start

    start()
