"""A leash: a process that ends with the one that started it, however that one ends.

Not prctl(PR_SET_PDEATHSIG): the kernel sends that signal whenever a *thread* of the parent ends and the child passes
to another one, so a parent that is killed sends it several times, and a second SIGTERM means "do not drain".
"""

import os
import select
import signal
import threading


class ParentGone(Exception):
    """The process that should be above this one has ended already."""


def end_with(parent: int) -> None:
    """Have SIGTERM sent to this process, once, when its parent, which must be `parent`, ends.

    Raises ParentGone, and OSError where the kernel is older than Linux 5.3.
    """
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        raise ParentGone(_words(parent)) from None
    if os.getppid() != parent:  # it ended before it could be watched, and its id is another's by now
        os.close(descriptor)
        raise ParentGone(_words(parent))
    threading.Thread(target=_watch, args=(descriptor,), name="leash", daemon=True).start()


def _watch(descriptor: int) -> None:
    # a pidfd becomes readable when its process ends
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _words(parent: int) -> str:
    return f"process {parent}, which started this one, has ended"
