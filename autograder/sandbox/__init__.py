"""THE trust boundary: the only place that starts student code or talks to it.

Theory of operation
-------------------
Four kinds of process take part.

0. The *loader* (trusted code, `loader.py`) imports the libraries once per run and knows nothing else. Graders and fork
   servers are forked from it on request (`loading.py`).
1. The *grader* (trusted; `client.py`) has one fork server and talks to it over a private socket.
2. The *fork server* (trusted code, `server.py`) loads the probes, executes the given cells before the first answer, and
   then waits. It never sees a submission or a hidden test.
3. A *child* (`child.py`), forked for one program, confines itself (`confine.py`), receives the program over its own
   socket, executes it, and then calls probes when asked. It is killed when the grader has seen enough.

What crosses the socket (`channel.py`) is JSON and raw tensors, with every size checked before memory is allocated.
Nothing is ever unpickled. Anything a child reports may be forged, so it only reports what it saw; every verdict is
formed in the grader, from values that the child never had.

`confine.py` applies the layers in order; each has its own module: `namespaces.py`, `privileges.py`, `limits.py`,
`landlock.py`, `seccomp.py`, and `scratch.py` for machines without namespaces. `kernel.py` has the raw system calls.

A child that fails, hangs, floods the socket or dies is a value to the grader: a `Failure` with status and reason.
"""
