"""Webhooks: which events there are, who gets which, where they may go, and when again."""
