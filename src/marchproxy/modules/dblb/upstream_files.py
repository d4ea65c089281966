"""Files of TLS with servers, judged before a session needs them."""

from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import is_own
from marchproxy.modules.reception.upstream_tls import TlsFault, context_of


def tls_faults(state: DesiredState) -> tuple[Problem, ...]:
    """What is wrong with the files of TLS that the pools of own routes name. Reads them; paths as in the document."""
    wanted = {ref.pool for route in state.routes if is_own(route) for ref in route.backends}
    problems: list[Problem] = []
    for index, pool in enumerate(state.pools):
        if pool.name in wanted and pool.tls is not None:
            try:
                context_of(pool.tls)
            except TlsFault as fault:
                problems.append(Problem(f"pools[{index}].tls", str(fault)))
    return tuple(problems)
