"""Masters -> releases: what instructors write, build, prove and hand out."""
