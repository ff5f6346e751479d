"""Downloads -> submissions -> reassembled programs: who submitted what, and which code is the answer."""
