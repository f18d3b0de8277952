"""Derive further tables from the finished file of a plan's items, a row group at a time."""
