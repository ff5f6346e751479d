"""Stored results: an SQL database, and files written from it."""
