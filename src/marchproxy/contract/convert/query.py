"""Queries and pages."""

from typing import Any

from marchproxy.contract.pb import types_pb2
from marchproxy.model.query import Filter, Page, Query


def query_from_pb(pb: types_pb2.Query) -> Query:
    """The query; any message can be read, `select_rows` finds what is wrong with it."""
    return Query(
        filters=tuple(Filter(item.field, item.operator, item.value) for item in pb.filters),
        sort_by=pb.sort_by,
        sort_desc=pb.sort_desc,
        page=pb.pagination.page,
        page_size=pb.pagination.page_size,
    )


def query_to_pb(query: Query) -> types_pb2.Query:
    """The message."""
    return types_pb2.Query(
        filters=[
            types_pb2.Filter(field=item.field, operator=item.operator, value=item.value)
            for item in query.filters
        ],
        sort_by=query.sort_by,
        sort_desc=query.sort_desc,
        pagination=types_pb2.Pagination(page=query.page, page_size=query.page_size),
    )


def page_to_pb(page: Page[Any]) -> types_pb2.Pagination:
    """Which part of the list the page is."""
    return types_pb2.Pagination(
        page=page.page,
        page_size=page.page_size,
        total_items=page.total_items,
        total_pages=page.total_pages,
    )
