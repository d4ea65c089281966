"""What is for language models. Where a part has the same fields on both sides, it is taken over as it is."""

from dataclasses import asdict

from marchproxy.contract.document.schema.ai import (
    AiPoolDocument,
    AiRouteDocument,
    AllowanceDocument,
    GuardrailDocument,
    ModelDocument,
    PriceDocument,
    VirtualKeyDocument,
)
from marchproxy.model.ai import (
    AiPool,
    AiRoute,
    Allowance,
    Guardrail,
    Model,
    ModelTarget,
    Price,
    PricedModel,
    Queue,
    Scores,
    VirtualKey,
)


def ai_pool(item: AiPoolDocument | None) -> AiPool | None:
    """What speaks for language models there, where that is said."""
    if item is None:
        return None
    return AiPool(**{**dict(item), "models": dict(item.models), "scores": Scores(**dict(item.scores))})


def ai_pool_document(item: AiPool | None) -> AiPoolDocument | None:
    """The document of what speaks for language models."""
    return None if item is None else AiPoolDocument(**asdict(item))


def ai_route(item: AiRouteDocument | None) -> AiRoute | None:
    """What a route to language models has beside, where it is one."""
    if item is None:
        return None
    models = tuple(_model(model) for model in item.models)
    return AiRoute(**{**dict(item), "models": models, "queue": Queue(**dict(item.queue))})


def ai_route_document(item: AiRoute | None) -> AiRouteDocument | None:
    """The document of what a route to language models has beside."""
    return None if item is None else AiRouteDocument(**asdict(item))


def virtual_key(item: VirtualKeyDocument) -> VirtualKey:
    """The key."""
    values = dict(item)
    return VirtualKey(key_id=values.pop("id"), **values)


def virtual_key_document(item: VirtualKey) -> VirtualKeyDocument:
    """The document of a key."""
    values = asdict(item)
    return VirtualKeyDocument(id=values.pop("key_id"), **values)


def allowance(item: AllowanceDocument) -> Allowance:
    """The allowance."""
    values = dict(item)
    return Allowance(allowance_id=values.pop("id"), **values)


def allowance_document(item: Allowance) -> AllowanceDocument:
    """The document of an allowance."""
    values = asdict(item)
    return AllowanceDocument(id=values.pop("allowance_id"), **values)


def priced_model(item: PriceDocument) -> PricedModel:
    """The price of a model."""
    return PricedModel(item.model, Price(item.input, item.output, item.cached))


def priced_model_document(item: PricedModel) -> PriceDocument:
    """The document of the price of a model."""
    return PriceDocument(model=item.model, **asdict(item.price))


def guardrail(item: GuardrailDocument) -> Guardrail:
    """The check."""
    return Guardrail(**dict(item))


def guardrail_document(item: Guardrail) -> GuardrailDocument:
    """The document of a check."""
    return GuardrailDocument(**asdict(item))


def _model(item: ModelDocument) -> Model:
    targets = tuple(ModelTarget(**dict(target)) for target in item.targets)
    return Model(**{**dict(item), "targets": targets})
