"""The service: HTTP API, command line, settings. Imports the other three packages."""
