"""The hidden tests, a folder an assignment. Nothing below here ever reaches a student."""
