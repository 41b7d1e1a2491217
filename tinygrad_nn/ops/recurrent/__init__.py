"""Recurrent layers as operations: one for all steps of a layer in one direction."""
