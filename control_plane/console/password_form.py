"""The login form's name and password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from control_plane.access.logins import PASSWORD, note_refusal

WHY = {
    "invalid_login": "wrong name or password, or an account that may not come in",
    "inactive": "the account is switched off",
}


class PasswordForm(AuthenticationForm):
    """Who is not let in is counted and recorded, whatever the reason."""

    def clean(self) -> dict[str, Any]:
        try:
            values: dict[str, Any] = super().clean()
        except ValidationError as error:
            name = self.cleaned_data.get("username", "")
            user = User.objects.filter(username=name).first()
            why = WHY.get(str(error.code), "refused")
            note_refusal(self.request, by=PASSWORD, why=why, user=user)
            raise
        return values
