"""Samples scraped from the servers: written in bulk, read in ranges; no Django here."""
