"""The contest's command line, one module per command."""
