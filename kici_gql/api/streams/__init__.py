"""Subscriptions: views of an org's log, as frames."""
