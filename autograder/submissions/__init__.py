"""Downloads -> submissions -> reassembled programs: who handed in what, and which code is the answer."""
