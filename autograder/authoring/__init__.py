"""Masters -> releases: what instructors write, build, verify and publish."""
