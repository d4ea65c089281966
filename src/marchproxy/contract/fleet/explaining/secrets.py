"""An explanation for those who may not see secrets: its route as the document shows it. No I/O."""

import json
from dataclasses import replace

from marchproxy.contract.convert import route_from_pb, route_to_pb
from marchproxy.contract.document import StateDocument, encode, to_model
from marchproxy.contract.fleet.explaining.explanation import Explanation
from marchproxy.contract.pb import types_pb2
from marchproxy.model.changes import redact
from marchproxy.model.problem import InvalidValue
from marchproxy.model.state import DesiredState


def without_secrets(explanation: Explanation) -> Explanation:
    """The same, with the secrets of the route hidden; a route that cannot be read is left out."""
    module = explanation.module
    if module is None or module.route is None:
        return explanation
    return replace(explanation, module=replace(module, route=_hidden(module.route)))


def _hidden(message: types_pb2.Route) -> types_pb2.Route | None:
    try:
        state = DesiredState(routes=(route_from_pb(message),))
    except InvalidValue:
        return None
    shown = redact(json.loads(encode(state)))
    return route_to_pb(to_model(StateDocument.model_validate(shown)).routes[0])
