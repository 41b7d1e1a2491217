"""Recurrent layers as operations: one operation for all steps of a layer in one direction."""
