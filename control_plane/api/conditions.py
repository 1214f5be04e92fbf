"""`ETag`, `If-Match`, `If-None-Match`: an edit that is based on what is no longer so is refused."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.errors import PreconditionRequiredError
from control_plane.api.resource import ResourceView, link
from control_plane.domain.violations import (
    InvalidInputError,
    NotFoundError,
    StaleEditError,
    Violation,
)

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of what was read: refused (412) when it was changed since.",
)


class EditableView(ResourceView):
    """One thing that can be edited; `If-Match` on PATCH and DELETE is honoured, not asked for.

    `tag_fields` are the fields of its document that make its ETag: what people decide, not what
    is observed. A view says how to `lock` the thing and how it is `shown`.
    """

    tag_fields: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for method in ("patch", "delete"):
            if method in cls.__dict__:
                setattr(cls, method, _on_condition(cls.__dict__[method]))

    def lock(self, **path: Any) -> object:
        """Holds the thing until the transaction ends.

        Raises:
            NotFoundError: there is none.
        """
        raise NotImplementedError

    def shown(self, **path: Any) -> dict[str, Any]:
        """Its document."""
        raise NotImplementedError

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        whole = isinstance(response, Response) and response.status_code == 200
        if whole and isinstance(response.data, dict) and self.tag_fields:
            response["ETag"] = tag_of(response.data, self.tag_fields)
        return super().finalize_response(request, response, *args, **kwargs)


class RevisedView(EditableView):
    """One record with revisions, named by its address: a PUT makes the newest, or the record.

    A change says by `If-Match` what it is based on; something new is based on nothing.
    """

    tag_fields = ("name", "revision", "changed_at", "document")
    app = "registry"
    record = ""
    """The app's and the record's name, of its permissions."""
    address = ""
    """The name of its address, where that is not the record's."""
    words = ""
    """What a refusal calls it."""

    @property
    def write_permission(self) -> str:
        verb = "delete" if self.request.method == "DELETE" else "change"
        return f"{self.app}.{verb}_{self.record}"

    def lock(self, **path: Any) -> object:
        if (row := self.find(path["name"])) is None:
            raise NotFoundError(f"there is no {self.words} named {path['name']!r}")
        return row

    def find(self, name: str) -> object | None:
        """The record, locked until the transaction ends; None: not there."""
        raise NotImplementedError

    def store(self, name: str, document: object) -> bool:
        """Makes the document the newest revision; True where the record is new."""
        raise NotImplementedError

    def comes_with_nereid(self, name: str) -> bool:
        """Whether one that is not there as a record can be read, and so based on, all the same."""
        return False

    def put_document(self, request: Request, name: str) -> Response:
        """The answer to a PUT.

        Raises:
            PreconditionRequiredError: it is there, and the request does not say what it saw.
            StaleEditError: it was changed since, or it is not there (any more).
        """
        with transaction.atomic():
            # Nobody changes it between this look and the write.
            self._check_seen(request, name)
            made = self.store(name, request.data)
            document = self.shown(name=name)
        if not made:  # an answer of 200 gets its tag from `finalize_response`
            return Response(document)
        headers = {
            "ETag": tag_of(document, self.tag_fields),
            "Location": link(request, self.address or self.record, name=name),
        }
        return Response(document, status=201, headers=headers)

    def _check_seen(self, request: Request, name: str) -> None:
        header = request.headers.get("If-Match")
        if self.find(name) is None:
            if header is not None and self.comes_with_nereid(name):
                check_match(header, tag_of(self.shown(name=name), self.tag_fields))
            elif header is not None:
                raise StaleEditError(
                    f"there is no {self.words} {name!r} to change: leave If-Match out to add it"
                )
            return
        if header is None:
            raise PreconditionRequiredError
        check_match(header, tag_of(self.shown(name=name), self.tag_fields))


def _on_condition(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def edit(view: EditableView, request: Request, *args: Any, **path: Any) -> Any:
        header = request.headers.get("If-Match")
        if header is None:
            return handler(view, request, *args, **path)
        with transaction.atomic():
            # Nobody changes it between this look and the edit.
            view.lock(**path)
            check_match(header, tag_of(view.shown(**path), view.tag_fields))
            return handler(view, request, *args, **path)

    return edit


def tag_of(document: dict[str, Any], fields: tuple[str, ...]) -> str:
    """A strong ETag over these fields of a document."""
    chosen = json.loads(JSONRenderer().render({name: document.get(name) for name in fields}))
    text = json.dumps(chosen, sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'


def check_match(header: str, tag: str) -> None:
    """Holds an `If-Match` against the present tag; `*` fits whatever is there.

    Raises:
        StaleEditError: it names another state.
        InvalidInputError: it is no ETag.
    """
    if header.strip() == "*":
        return
    tags = [part.strip() for part in header.split(",")]
    if tag in tags:
        return
    if not all(re.fullmatch(r'(W/)?"[^"]*"', part) for part in tags):
        raise InvalidInputError([Violation("", "if_match", f"If-Match {header!r} is no ETag")])
    raise StaleEditError(f"the ETag is {tag} now, not {header}: read it again")


def unless_known(request: Request, tag: str, answer: Callable[[], Any]) -> Any:
    """The answer with its tag; 304 without a body where `If-None-Match` says it is known."""
    # Asked before there is an answer: one that holds a file would have to be closed again.
    if (known := get_conditional_response(request._request, etag=tag)) is None:
        known = answer()
    known["ETag"] = tag
    return known
