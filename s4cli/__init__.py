"""The command line `s4`: parse, call one stage, print."""
