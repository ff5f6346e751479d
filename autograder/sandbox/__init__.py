"""THE trust boundary: the only place that starts student code or talks to it.

Theory of operation
-------------------
Three kinds of process take part.

1. The *grader* (trusted; `client.py`) starts one fork server a worker and talks to it over a private socket.
2. The *fork server* (trusted code, `server.py`) imports torch once, loads the probes, executes the given cells that
   stand before the first answer, and then waits. It never sees a line of a submission, nor a hidden test.
3. A *child* (`child.py`), forked for one program, confines itself (`confine.py`), receives the program over its own
   socket, executes it, and then calls probes when asked. It is killed when the grader has seen enough.

What crosses the socket (`channel.py`) is JSON and raw tensors, with every size checked before memory is taken. Nothing
is ever unpickled. Whatever a child says may be forged, so a child only reports what it saw; every verdict is formed in
the grader, from values that the child never had.

`confine.py` tells the layers in order; each has a module of its own: `namespaces.py`, `privileges.py`, `limits.py`,
`landlock.py`, `seccomp.py`, and `scratch.py` for machines without namespaces. `kernel.py` holds the bare calls.

A child that stops, hangs, floods or dies is a value to the grader: a `Failure` with a status and a plain reason.
"""
