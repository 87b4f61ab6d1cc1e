"""Importers: files of a marketplace, checked whole against the contracts before anything is written."""
