"""The kit as a whole, from outside: installed, in a course of its own, on the command line."""
