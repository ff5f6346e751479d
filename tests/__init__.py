"""Tests of the kit; they mirror its modules."""
