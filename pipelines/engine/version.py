"""The version of s4, where everything that records it can reach it."""

__version__ = "0.1.0"
